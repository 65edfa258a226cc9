// Serves govmomi's vSphere simulator with the machines of test/vsphere/expected.ts, until standard input closes.
package main

import (
	"context"
	"crypto/tls"
	"flag"
	"fmt"
	"io"
	"net/url"
	"os"

	"github.com/vmware/govmomi"
	"github.com/vmware/govmomi/object"
	"github.com/vmware/govmomi/simulator"
	"github.com/vmware/govmomi/vim25/types"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func main() {
	esx := flag.Bool("esx", false, "an ESXi host instead of a vCenter")
	machines := flag.Int("machines", 5, "how many machines; the first four are special")
	flag.Parse()
	model := simulator.VPX()
	if *esx {
		model = simulator.ESX()
	} else {
		model.Host = 0 // one resource pool, so that -machines is the total
	}
	model.Machine = *machines
	defer model.Remove()
	check(model.Create())
	model.Service.TLS = new(tls.Config)
	model.Service.Listen = &url.URL{Host: "127.0.0.1:0", User: url.UserPassword(os.Getenv("VCSIM_USER"), os.Getenv("VCSIM_PASSWORD"))}
	server := model.Service.NewServer()
	defer server.Close()
	prepare(context.Background(), server.URL)
	fmt.Printf("{\"port\":%s}\n", server.URL.Port())
	_, _ = io.Copy(io.Discard, os.Stdin)
}

func prepare(ctx context.Context, url *url.URL) {
	client, err := govmomi.NewClient(ctx, url, true)
	check(err)
	var refs []types.ManagedObjectReference
	for _, vm := range simulator.Map.All("VirtualMachine") {
		refs = append(refs, vm.Reference())
	}
	vm := func(i int) *object.VirtualMachine { return object.NewVirtualMachine(client.Client, refs[i]) }
	wait := func(task *object.Task, err error) { check(err); check(task.Wait(ctx)) }
	set := func(i int, spec types.VirtualMachineConfigSpec) { wait(vm(i).Reconfigure(ctx, spec)) }

	set(0, types.VirtualMachineConfigSpec{
		Name: "web%2f01 100%25 💾", GuestId: "ubuntu64Guest", Firmware: "efi", NumCPUs: 2, MemoryMB: 2048,
		Uuid: "4206E2C4-0001-4F6B-9E1A-0D5C7A3B0001", InstanceUuid: "5006e2c4-0001-4f6b-9e1a-0d5c7a3b0001",
		ExtraConfig: []types.BaseOptionValue{
			&types.OptionValue{Key: "SET.guest.ipAddress", Value: "10.0.0.11"},
			&types.OptionValue{Key: "SET.guest.hostName", Value: "web01.contoso.example"},
		},
	})
	set(1, types.VirtualMachineConfigSpec{Name: "db & <files>", GuestId: "windows9Server64Guest"})
	wait(vm(1).PowerOff(ctx))
	set(2, types.VirtualMachineConfigSpec{Name: "diskless", GuestId: "freebsd64Guest"})
	devices, err := vm(2).Device(ctx)
	check(err)
	check(vm(2).RemoveDevice(ctx, false, devices.SelectByType((*types.VirtualDisk)(nil))...))
	set(3, types.VirtualMachineConfigSpec{Name: "golden image"})
	wait(vm(3).PowerOff(ctx))
	check(vm(3).MarkAsTemplate(ctx))
}
