package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"charm.land/fang/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"pitwall/cmd/config"
)

// The exit codes. They are part of what scripts rely on and never change their meaning.
const (
	exitOK         = 0
	exitFailed     = 1
	exitUsage      = 2
	exitNoTerminal = 3
	exitNoSession  = 4
	exitUnhealthy  = 5
	exitNoEngine   = 10
	exitStarting   = 11
	exitNoAnswer   = 12
	exitStalled    = 13
	exitSleeping   = 14
	exitSLO        = 20
	exitInvalid    = 21
	exitBroken     = 22
)

// exitCode is one line of pitwall help exit-codes.
type exitCode struct {
	code    int
	meaning string
}

func exitCodes() []exitCode {
	return []exitCode{
		{exitOK, "done; of snapshot: the engine is ready (also just after a restart)"},
		{exitFailed, "failed; the error says what happened, where, and what to do"},
		{exitUsage, "wrong use: a flag, an argument, an expression, a variable or the configuration file"},
		{exitNoTerminal, "the console needs a terminal and there is none"},
		{exitNoSession, "no such session, or it cannot be read"},
		{exitUnhealthy, "of doctor: something that was asked for cannot work"},
		{exitNoEngine, "of snapshot: no engine was found"},
		{exitStarting, "of snapshot: the engine is starting"},
		{exitNoAnswer, "of snapshot and load: the engine does not answer"},
		{exitStalled, "of snapshot: the engine has work and makes no progress"},
		{exitSleeping, "of snapshot: the engine sleeps"},
		{exitSLO, "of load: it was measured, and the SLO is not met"},
		{exitInvalid, "of load: it was measured, and a flag says that the numbers must not be used"},
		{exitBroken, "of load: there is nothing to use: the run broke, or no request went well"},
	}
}

// failure is an error with what to do about it, and the exit code it ends in.
type failure struct {
	err  error
	hint string
	code int
}

// Error is the error's own text; the hint is printed apart from it.
func (f *failure) Error() string { return f.err.Error() }

// Unwrap gives the error itself.
func (f *failure) Unwrap() error { return f.err }

// fail makes an error that ends the program with a code; hint may be empty. The format is fmt.Errorf's.
func fail(code int, hint, format string, args ...any) error {
	return &failure{err: fmt.Errorf(format, args...), hint: hint, code: code}
}

// exit is an ending that is told by its code alone: everything has been printed already.
type exit int

// Error is for the interface; nobody prints it.
func (e exit) Error() string { return fmt.Sprintf("exit %d", int(e)) }

// usage wraps what cobra says about a command line.
func usage(err error) error {
	var f *failure
	if errors.As(err, &f) {
		return err
	}
	return &failure{err: err, hint: "pitwall --help shows the commands, and pitwall COMMAND --help its flags", code: exitUsage}
}

// nearFlag adds the nearest flag to the error about an unknown one.
func nearFlag(cmd *cobra.Command, err error) error {
	name, unknown := strings.CutPrefix(err.Error(), "unknown flag: --")
	if !unknown {
		return errors.New(plainFlagError(err))
	}
	var names []string
	cmd.Flags().VisitAll(func(f *pflag.Flag) {
		if !f.Hidden {
			names = append(names, f.Name)
		}
	})
	if near := config.Nearest(name, names); near != "" {
		return fail(exitUsage, "did you mean --"+near+"?", "%w", err)
	}
	return fail(exitUsage, cmd.CommandPath()+" --help shows the flags", "%w", err)
}

// report prints an error to stderr and gives its exit code.
func (p *program) report(err error) int {
	var code exit
	var f *failure
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &code):
		return int(code)
	case len(config.Problems(err)) > 0:
		for _, q := range config.Problems(err) {
			p.complain(q.Error(), q.Hint)
		}
		return exitUsage
	case errors.As(err, &f):
		p.complain(err.Error(), f.hint)
		return f.code
	case errors.Is(err, context.Canceled):
		p.complain("interrupted", "")
		return exitFailed
	}
	p.complain(err.Error(), "pitwall doctor shows what is missing, why, and what to type next")
	return exitFailed
}

// complain prints one error in the form that all of pitwall's errors have.
func (p *program) complain(what, hint string) {
	fmt.Fprintf(p.stderr, "pitwall: error: %s\n", clean(what))
	if hint != "" {
		fmt.Fprintf(p.stderr, "pitwall: hint: %s\n", clean(hint))
	}
}

func silent(io.Writer, fang.Styles, error) {}
