package sim

import (
	"fmt"
	"net/http"
)

// refusal is a request that gets an error, in the shape of vLLM 0.32: {"error":{message,type,param,code}}.
type refusal struct {
	Message string  `json:"message"`
	Type    string  `json:"type"`
	Param   *string `json:"param"`
	Code    int     `json:"code"`
}

func (r *refusal) Error() string { return r.Message }

// badValue refuses a parameter as vLLM's own checks do; param "" stays null.
func badValue(param, format string, args ...any) *refusal {
	r := &refusal{Message: fmt.Sprintf(format, args...), Type: "BadRequestError", Code: http.StatusBadRequest}
	if param != "" {
		r.Param = &param
	}
	return r
}

// invalid refuses a body that does not fit the schema, as pydantic's errors come out of vLLM.
func invalid(kind, loc, msg, rest string) *refusal {
	return &refusal{
		Message: fmt.Sprintf("1 validation error:\n  {'type': '%s', 'loc': '%s', 'msg': '%s', %s}", kind, loc, msg, rest),
		Type:    "Bad Request", Param: &loc, Code: http.StatusBadRequest,
	}
}

// notSimulated refuses what a real engine can do and this one cannot, instead of answering as if it had.
func notSimulated(param, what string) *refusal {
	return badValue(param, "the simulated engine has no %s. (parameter=%s)", what, param)
}

func unknownModel(asked, served string) *refusal {
	param := "model"
	return &refusal{
		Message: fmt.Sprintf("The model `%s` does not exist. Valid aliases: %s.", asked, served),
		Type:    "NotFoundError", Param: &param, Code: http.StatusNotFound,
	}
}

func engineGone() *refusal {
	return &refusal{
		Message: "EngineCore encountered an issue. See stack trace (above) for the root cause.",
		Type:    "InternalServerError", Code: http.StatusInternalServerError,
	}
}

func (r *refusal) write(w http.ResponseWriter) {
	reply(w, r.Code, map[string]*refusal{"error": r})
}

// chunk is the same error inside a stream, whose status has been sent; with the spaces of Python's json.dumps there.
func (r *refusal) chunk() []byte {
	b := appendJSON([]byte(`data: {"error": {"message": `), r.Message)
	b = appendJSON(append(b, `, "type": `...), r.Type)
	b = appendJSON(append(b, `, "param": `...), r.Param)
	b = appendJSON(append(b, `, "code": `...), r.Code)
	return append(b, "}}\n\n"...)
}
