package host

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"

	"github.com/prometheus/procfs"
	"github.com/prometheus/procfs/blockdevice"
)

var (
	diskRead    = counter("node_disk_read_bytes_total", "Bytes read from the disk.", "device")
	diskWritten = counter("node_disk_written_bytes_total", "Bytes written to the disk.", "device")
	diskBusy    = counter("node_disk_io_time_seconds_total", "Seconds in which the disk had work.", "device")

	netReceived     = counter("node_network_receive_bytes_total", "Bytes received.", "device")
	netSent         = counter("node_network_transmit_bytes_total", "Bytes sent.", "device")
	netReceiveErrs  = counter("node_network_receive_errs_total", "Packets received with an error.", "device")
	netSendErrs     = counter("node_network_transmit_errs_total", "Packets not sent for an error.", "device")
	netReceiveDrops = counter("node_network_receive_drop_total", "Received packets that were dropped.", "device")
	netSendDrops    = counter("node_network_transmit_drop_total", "Packets dropped before they were sent.", "device")
)

// sectorBytes is the unit of /proc/diskstats on every device (Documentation/admin-guide/iostats.rst).
const sectorBytes = 512

// disks remembers which names are disks, so that /sys is asked once for each.
type disks struct{ real map[string]bool }

// notDisks are names without a device behind them, for where /sys can't tell: partitions, loops, RAM, device mapper, md,
// and CD drives.
var notDisks = regexp.MustCompile(`^(z?ram\d+|loop\d+|fd\d+|sr\d+|dm-\d+|md\d+|nbd\d+|(h|s|v|xv)d[a-z]+\d+|(nvme\d+n\d+|mmcblk\d+)p\d+)$`)

// is tells whether a name of /proc/diskstats is a disk: it has a device in /sys. Device mapper and md have none; their
// traffic is that of the disks below them, and would count twice.
func (d *disks) is(sys, name string) bool {
	if v, ok := d.real[name]; ok {
		return v
	}
	_, errSys := os.Stat(filepath.Join(sys, "block"))
	_, errDev := os.Stat(filepath.Join(sys, "block", name, "device"))
	v := !notDisks.MatchString(name) && (errDev == nil || errSys != nil)
	if d.real == nil {
		d.real = map[string]bool{}
	}
	d.real[name] = v
	return v
}

func (d *disks) collect(block blockdevice.FS, sys string, out *sink) {
	stats, err := block.ProcDiskstats()
	if err != nil {
		out.missing(err, diskRead, diskWritten, diskBusy)
		return
	}
	found := false
	for _, s := range stats {
		if !d.is(sys, s.DeviceName) {
			continue
		}
		found = true
		out.emit(diskRead, float64(s.ReadSectors)*sectorBytes, s.DeviceName)
		out.emit(diskWritten, float64(s.WriteSectors)*sectorBytes, s.DeviceName)
		out.emit(diskBusy, float64(s.IOsTotalTicks)/1000, s.DeviceName) // milliseconds
	}
	if !found {
		out.missing(errors.New("no disk of its own in /proc/diskstats"), diskRead, diskWritten, diskBusy)
	}
}

// virtualNet are interfaces that carry another one's traffic a second time, and of which a container host has hundreds.
// The loopback stays: it is where a local client's load goes.
var virtualNet = regexp.MustCompile(`^(veth|cali|lxc|lxd|docker|br-|virbr|cni|flannel|cilium|nerdctl|podman|kube|nodelocal|tunl|dummy|ifb|vnet|fwbr|fwln|fwpr|tap)`)

func collectNetwork(proc procfs.FS, out *sink) {
	devs, err := proc.NetDev()
	if err != nil {
		out.missing(err, netReceived, netSent, netReceiveErrs, netSendErrs, netReceiveDrops, netSendDrops)
		return
	}
	for name, d := range devs {
		if virtualNet.MatchString(name) {
			continue
		}
		out.emit(netReceived, float64(d.RxBytes), name)
		out.emit(netSent, float64(d.TxBytes), name)
		out.emit(netReceiveErrs, float64(d.RxErrors), name)
		out.emit(netSendErrs, float64(d.TxErrors), name)
		out.emit(netReceiveDrops, float64(d.RxDropped), name)
		out.emit(netSendDrops, float64(d.TxDropped), name)
	}
}
