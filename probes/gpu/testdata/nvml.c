// A small libnvidia-ml.so.1 for tests: the functions that this package calls, over a made-up box of A100s.
//
// The file named by FAKE_NVML says what the box is like, and is read again and again, so that a test can change it:
//
//   gpus N                  number of GPUs (1)
//   init CODE               nvmlInit fails with this code
//   mig GPU                 this GPU is cut into 3g.40gb (instance 1) and 4g.40gb (instance 2)
//   lost GPU                every call on it gives GPU_IS_LOST
//   fail FUNCTION GPU CODE  this call gives this code; GPU * is any
//   hang FUNCTION GPU       this call doesn't return while the line is there
//   xid GPU CODE            nvmlEventSetWait delivers this once per change of the line
//
// A call before nvmlInit, after one that failed, or after nvmlShutdown, aborts the process: a real library may do worse.
// With OLD_DRIVER it is a library of 2020 that lacks what came later.

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

// go-nvml's, where a handle is a struct around the pointer: the same in the ABI.
#include "nvml.h"

struct nvmlDevice_st { int gpu, instance; };
struct nvmlEventSet_st { int unused; };

static struct nvmlDevice_st gpus[16], parts[16][2];
static struct nvmlEventSet_st events;
static int alive;
static unsigned long long energy[16];
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static char box[4096]; // the file's text, guarded by lock

// look reads the file anew, unless that was done in the last 25 ms: a driver's library opens no file at a call, and what
// watching eight of these GPUs costs is measured.
static void look(void) {
	static struct timespec last;
	struct timespec now;
	const char *path = getenv("FAKE_NVML");
	clock_gettime(CLOCK_MONOTONIC, &now);
	if (last.tv_sec && (now.tv_sec - last.tv_sec) * 1000000000LL + now.tv_nsec - last.tv_nsec < 25000000) return;
	last = now;
	FILE *f = path ? fopen(path, "r") : NULL;
	size_t n = f ? fread(box, 1, sizeof box - 1, f) : 0;
	box[n] = 0;
	if (f) fclose(f);
}

// control looks for a line that begins with the words, and gives its last number in *code.
static int control(const char *want, int *code) {
	size_t n = strlen(want);
	int found = 0;
	pthread_mutex_lock(&lock);
	look();
	for (const char *line = box; line && *line; line = strchr(line, '\n') ? strchr(line, '\n') + 1 : NULL) {
		if (strncmp(line, want, n) == 0 && (line[n] == ' ' || line[n] == '\n')) {
			if (code && line[n] == ' ') *code = atoi(line + n + 1);
			found = 1;
		}
	}
	pthread_mutex_unlock(&lock);
	return found;
}

static nvmlReturn_t begin(const char *fn, int gpu) {
	char want[128];
	int code = 0;
	if (!alive) {
		fprintf(stderr, "%s without a successful nvmlInit\n", fn);
		abort();
	}
	snprintf(want, sizeof want, "hang %s %d", fn, gpu);
	while (control(want, NULL)) usleep(10000);
	snprintf(want, sizeof want, "lost %d", gpu);
	if (gpu >= 0 && control(want, NULL)) return NVML_ERROR_GPU_IS_LOST;
	snprintf(want, sizeof want, "fail %s %d", fn, gpu);
	if (control(want, &code)) return code;
	snprintf(want, sizeof want, "fail %s *", fn);
	if (control(want, &code)) return code;
	return NVML_SUCCESS;
}

#define BEGIN(d) nvmlReturn_t r = begin(__func__, (d).handle->gpu); if (r != NVML_SUCCESS) return r
#define DEVICE(d) BEGIN(d); if ((d).handle->instance) return NVML_ERROR_NOT_SUPPORTED

static int mig(int gpu) {
	char want[32];
	snprintf(want, sizeof want, "mig %d", gpu);
	return control(want, NULL);
}

static int count(void) {
	int n = 1;
	control("gpus", &n);
	return n;
}

nvmlReturn_t nvmlInit_v2(void) {
	int code = 0;
	if (control("init", &code)) return code;
	for (int i = 0; i < 16; i++) {
		gpus[i].gpu = i;
		for (int k = 0; k < 2; k++) parts[i][k] = (struct nvmlDevice_st){i, k + 1};
	}
	alive = 1;
	return NVML_SUCCESS;
}

// The way in of NVIDIA's Python package, for the monitors that pitwall's cost is compared with.
nvmlReturn_t nvmlInitWithFlags(unsigned int flags) { return nvmlInit_v2(); }

nvmlReturn_t nvmlShutdown(void) {
	nvmlReturn_t r = begin(__func__, -1);
	alive = 0;
	return r;
}

const char *nvmlErrorString(nvmlReturn_t code) {
	fprintf(stderr, "nvmlErrorString was called\n");
	abort();
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *s, unsigned int n) {
	nvmlReturn_t r = begin(__func__, -1);
	snprintf(s, n, "550.54.15");
	return r;
}

nvmlReturn_t nvmlSystemGetNVMLVersion(char *s, unsigned int n) {
	nvmlReturn_t r = begin(__func__, -1);
	snprintf(s, n, "12.550.54.15");
	return r;
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion(int *v) {
	nvmlReturn_t r = begin(__func__, -1);
	*v = 12040;
	return r;
}

nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *n) {
	nvmlReturn_t r = begin(__func__, -1);
	*n = count();
	return r;
}

nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int i, nvmlDevice_t *d) {
	nvmlReturn_t r = begin(__func__, i);
	if ((int)i >= count()) return NVML_ERROR_INVALID_ARGUMENT;
	d->handle = &gpus[i];
	return r;
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t d, char *s, unsigned int n) {
	BEGIN(d);
	snprintf(s, n, "NVIDIA A100-SXM4-80GB%s", d.handle->instance == 1 ? " MIG 3g.40gb" : d.handle->instance ? " MIG 1c.4g.40gb" : "");
	return r;
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t d, char *s, unsigned int n) {
	BEGIN(d);
	if (d.handle->instance) snprintf(s, n, "MIG-%d-%d", d.handle->gpu, d.handle->instance);
	else snprintf(s, n, "GPU-0000000%d-aaaa-bbbb-cccc-dddddddddddd", d.handle->gpu);
	return r;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t d, nvmlPciInfo_t *p) {
	DEVICE(d);
	memset(p, 0, sizeof *p);
	snprintf(p->busId, sizeof p->busId, "00000000:%02X:00.0", 7 + d.handle->gpu);
	return r;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t d, nvmlUtilization_t *u) {
	DEVICE(d);
	if (mig(d.handle->gpu)) return NVML_ERROR_NOT_SUPPORTED;
	u->gpu = 97 - d.handle->gpu;
	u->memory = 61;
	return r;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t d, unsigned int *mw) {
	DEVICE(d);
	*mw = 312600;
	return r;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t d, unsigned int *mw) {
	DEVICE(d);
	*mw = 400000;
	return r;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimitConstraints(nvmlDevice_t d, unsigned int *min, unsigned int *max) {
	DEVICE(d);
	*min = 100000;
	*max = 400000;
	return r;
}

nvmlReturn_t nvmlDeviceGetTotalEnergyConsumption(nvmlDevice_t d, unsigned long long *mj) {
	DEVICE(d);
	pthread_mutex_lock(&lock);
	*mj = 5000000000ULL + (energy[d.handle->gpu] += 312600);
	pthread_mutex_unlock(&lock);
	return r;
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t d, nvmlTemperatureSensors_t s, unsigned int *t) {
	DEVICE(d);
	*t = 64;
	return r;
}

nvmlReturn_t nvmlDeviceGetTemperatureThreshold(nvmlDevice_t d, nvmlTemperatureThresholds_t which, unsigned int *t) {
	static const unsigned int limits[] = {92, 89, 95, 85};
	DEVICE(d);
	if (which > NVML_TEMPERATURE_THRESHOLD_GPU_MAX) return NVML_ERROR_INVALID_ARGUMENT;
	*t = limits[which];
	return r;
}

// The boards of an HGX A100 have no fan of their own.
nvmlReturn_t nvmlDeviceGetFanSpeed(nvmlDevice_t d, unsigned int *p) {
	DEVICE(d);
	return NVML_ERROR_NOT_SUPPORTED;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t d, nvmlClockType_t c, unsigned int *mhz) {
	DEVICE(d);
	*mhz = c == NVML_CLOCK_MEM ? 1593 : 1395;
	return r;
}

nvmlReturn_t nvmlDeviceGetMaxClockInfo(nvmlDevice_t d, nvmlClockType_t c, unsigned int *mhz) {
	DEVICE(d);
	*mhz = c == NVML_CLOCK_MEM ? 1593 : 1410;
	return r;
}

nvmlReturn_t nvmlDeviceGetPerformanceState(nvmlDevice_t d, nvmlPstates_t *p) {
	DEVICE(d);
	*p = NVML_PSTATE_0;
	return r;
}

nvmlReturn_t nvmlDeviceGetPcieThroughput(nvmlDevice_t d, nvmlPcieUtilCounter_t c, unsigned int *kb) {
	DEVICE(d);
	usleep(20000);
	*kb = c == NVML_PCIE_UTIL_TX_BYTES ? 12000 : 34000;
	return r;
}

nvmlReturn_t nvmlDeviceGetPcieReplayCounter(nvmlDevice_t d, unsigned int *n) {
	DEVICE(d);
	*n = 2;
	return r;
}

nvmlReturn_t nvmlDeviceGetTotalEccErrors(nvmlDevice_t d, nvmlMemoryErrorType_t t, nvmlEccCounterType_t c, unsigned long long *n) {
	DEVICE(d);
	*n = 10 * (t == NVML_MEMORY_ERROR_TYPE_UNCORRECTED) + 100 * (c == NVML_AGGREGATE_ECC) + 1;
	return r;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t d, nvmlMemory_t *m) {
	BEGIN(d);
	m->total = 81920ULL << 20;
	m->used = 71040ULL << 20;
	m->free = m->total - m->used;
	return r;
}

#ifdef OLD_DRIVER

// Processes without MIG ids, throttle reasons under their old name.
nvmlReturn_t nvmlDeviceGetComputeRunningProcesses(nvmlDevice_t d, unsigned int *n, nvmlProcessInfo_v1_t *p) {
	DEVICE(d);
	if (*n < 2) {
		*n = 2;
		return NVML_ERROR_INSUFFICIENT_SIZE;
	}
	*n = 2;
	p[0] = (nvmlProcessInfo_v1_t){4242, 70000ULL << 20};
	p[1] = (nvmlProcessInfo_v1_t){4343, 400ULL << 20};
	return r;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t d, unsigned long long *mask) {
	DEVICE(d);
	*mask = 0x4;
	return r;
}

nvmlReturn_t nvmlDeviceGetViolationStatus(nvmlDevice_t d, nvmlPerfPolicyType_t p, nvmlViolationTime_t *v) {
	DEVICE(d);
	if (p != NVML_PERF_POLICY_POWER) return NVML_ERROR_NOT_SUPPORTED;
	v->violationTime = 7000000000ULL;
	return r;
}

#else

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *v) { return nvmlSystemGetCudaDriverVersion(v); }

nvmlReturn_t nvmlDeviceGetArchitecture(nvmlDevice_t d, nvmlDeviceArchitecture_t *a) {
	DEVICE(d);
	*a = NVML_DEVICE_ARCH_AMPERE;
	return r;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t d, nvmlMemory_v2_t *m) {
	BEGIN(d);
	if (m->version != nvmlMemory_v2) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
	m->total = (d.handle->instance ? 40448ULL : 81920ULL) << 20;
	m->reserved = 640ULL << 20;
	m->used = (d.handle->instance == 2 ? 30000ULL : d.handle->instance ? 100ULL : 70400ULL) << 20;
	m->free = m->total - m->reserved - m->used;
	return r;
}

nvmlReturn_t nvmlDeviceGetComputeRunningProcesses_v3(nvmlDevice_t d, unsigned int *n, nvmlProcessInfo_t *p) {
	BEGIN(d);
	unsigned int have = 2, room = *n;
	// With MIG on, the list of the whole GPU is for the privileged; the first instance is empty.
	if (mig(d.handle->gpu) && !d.handle->instance) return NVML_ERROR_NO_PERMISSION;
	if (d.handle->instance == 1) have = 0;
	*n = have;
	if (room < have) return NVML_ERROR_INSUFFICIENT_SIZE;
	if (have) {
		unsigned int gi = d.handle->instance ? (unsigned int)d.handle->instance : 0xFFFFFFFF;
		p[0] = (nvmlProcessInfo_t){4242, 70000ULL << 20, gi, d.handle->instance ? 0 : 0xFFFFFFFF};
		p[1] = (nvmlProcessInfo_t){4343, 0xFFFFFFFFFFFFFFFFULL, gi, d.handle->instance ? 0 : 0xFFFFFFFF};
	}
	return r;
}

nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t d, unsigned long long *mask) {
	DEVICE(d);
	*mask = 0x4 | 0x20 | 0x8000;
	return r;
}

nvmlReturn_t nvmlDeviceGetFieldValues(nvmlDevice_t d, int n, nvmlFieldValue_t *v) {
	DEVICE(d);
	for (int i = 0; i < n; i++) {
		v[i].nvmlReturn = NVML_SUCCESS;
		v[i].valueType = NVML_VALUE_TYPE_UNSIGNED_LONG_LONG;
		switch (v[i].fieldId) {
		case NVML_FI_DEV_MEMORY_TEMP:
			v[i].valueType = NVML_VALUE_TYPE_UNSIGNED_INT;
			v[i].value.uiVal = 71;
			break;
		case NVML_FI_DEV_PERF_POLICY_POWER: v[i].value.ullVal = 1500000000ULL; break;
		case NVML_FI_DEV_PERF_POLICY_THERMAL: v[i].value.ullVal = 250000000ULL; break;
		case NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN: v[i].value.ullVal = 250000000ULL; break;
		case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX:
		case NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX:
			if (v[i].scopeId != 0xFFFFFFFF) v[i].nvmlReturn = NVML_ERROR_INVALID_ARGUMENT;
			v[i].value.ullVal = v[i].fieldId == NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX ? 1000 : 2000;
			break;
		case NVML_FI_DEV_PERF_POLICY_RELIABILITY: v[i].nvmlReturn = NVML_ERROR_NOT_SUPPORTED; break;
		case NVML_FI_DEV_GET_GPU_RECOVERY_ACTION: v[i].nvmlReturn = NVML_ERROR_INVALID_ARGUMENT; break;
		default: v[i].value.ullVal = 0;
		}
	}
	return r;
}

nvmlReturn_t nvmlDeviceGetRemappedRows(nvmlDevice_t d, unsigned int *c, unsigned int *u, unsigned int *pending, unsigned int *failed) {
	DEVICE(d);
	*c = 3;
	*u = 1;
	*pending = 1;
	*failed = 0;
	return r;
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t d, unsigned int *now, unsigned int *pending) {
	DEVICE(d);
	*now = *pending = mig(d.handle->gpu);
	return r;
}

nvmlReturn_t nvmlDeviceGetMaxMigDeviceCount(nvmlDevice_t d, unsigned int *n) {
	DEVICE(d);
	*n = 7;
	return r;
}

nvmlReturn_t nvmlDeviceGetMigDeviceHandleByIndex(nvmlDevice_t d, unsigned int i, nvmlDevice_t *part) {
	DEVICE(d);
	// The slots need not be filled from the first.
	if (!mig(d.handle->gpu) || i < 1 || i > 2) return NVML_ERROR_NOT_FOUND;
	part->handle = &parts[d.handle->gpu][i - 1];
	return r;
}

nvmlReturn_t nvmlDeviceGetGpuInstanceId(nvmlDevice_t d, unsigned int *id) {
	BEGIN(d);
	*id = d.handle->instance;
	return r;
}

nvmlReturn_t nvmlDeviceGetComputeInstanceId(nvmlDevice_t d, unsigned int *id) {
	BEGIN(d);
	*id = 0;
	return r;
}

nvmlReturn_t nvmlEventSetCreate(nvmlEventSet_t *set) {
	nvmlReturn_t r = begin(__func__, -1);
	set->handle = &events;
	return r;
}

// pitwall doesn't ask for these; nvitop, whose cost is compared with pitwall's, does.
nvmlReturn_t nvmlDeviceGetEncoderUtilization(nvmlDevice_t d, unsigned int *v, unsigned int *us) { DEVICE(d); *v = 0; *us = 100000; return r; }
nvmlReturn_t nvmlDeviceGetDecoderUtilization(nvmlDevice_t d, unsigned int *v, unsigned int *us) { DEVICE(d); *v = 0; *us = 100000; return r; }
nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t d, unsigned int *v) { DEVICE(d); *v = 400000; return r; }
nvmlReturn_t nvmlDeviceGetGraphicsRunningProcesses_v3(nvmlDevice_t d, unsigned int *n, nvmlProcessInfo_t *p) { DEVICE(d); *n = 0; return r; }
nvmlReturn_t nvmlDeviceGetComputeMode(nvmlDevice_t d, nvmlComputeMode_t *v) { DEVICE(d); return NVML_ERROR_NOT_SUPPORTED; }
nvmlReturn_t nvmlDeviceGetDisplayActive(nvmlDevice_t d, nvmlEnableState_t *v) { DEVICE(d); return NVML_ERROR_NOT_SUPPORTED; }
nvmlReturn_t nvmlDeviceGetDriverModel(nvmlDevice_t d, nvmlDriverModel_t *v, nvmlDriverModel_t *w) { DEVICE(d); return NVML_ERROR_NOT_SUPPORTED; }
nvmlReturn_t nvmlDeviceGetPersistenceMode(nvmlDevice_t d, nvmlEnableState_t *v) { DEVICE(d); return NVML_ERROR_NOT_SUPPORTED; }
nvmlReturn_t nvmlDeviceGetProcessUtilization(nvmlDevice_t d, nvmlProcessUtilizationSample_t *v, unsigned int *n, unsigned long long since) { DEVICE(d); return NVML_ERROR_NOT_SUPPORTED; }

nvmlReturn_t nvmlEventSetFree(nvmlEventSet_t set) { return begin(__func__, -1); }

nvmlReturn_t nvmlDeviceRegisterEvents(nvmlDevice_t d, unsigned long long types, nvmlEventSet_t set) {
	DEVICE(d);
	if (types != nvmlEventTypeXidCriticalError) return NVML_ERROR_INVALID_ARGUMENT;
	return r;
}

nvmlReturn_t nvmlEventSetWait_v2(nvmlEventSet_t set, nvmlEventData_t *e, unsigned int ms) {
	static int told[16];
	nvmlReturn_t r = begin(__func__, -1);
	for (unsigned int waited = 0; r == NVML_SUCCESS; waited += 50) {
		for (int i = 0; i < count(); i++) {
			char want[32];
			int code = 0;
			snprintf(want, sizeof want, "xid %d", i);
			if (control(want, &code) && code != told[i]) {
				told[i] = code;
				*e = (nvmlEventData_t){{&gpus[i]}, nvmlEventTypeXidCriticalError, code, 0xFFFFFFFF, 0xFFFFFFFF};
				return NVML_SUCCESS;
			}
		}
		if (waited >= ms) return NVML_ERROR_TIMEOUT;
		usleep(50000);
	}
	return r;
}

#endif
