# Virtual machines by libvirt: what each gets.

module DMM
  module Libvirt
    # QEMU keeps translated code; without a limit a machine of 256 MiB grows beyond 1 GiB. The
    # plugin has no option for it, but writes each feature into the domain's XML as it is.
    TRANSLATED_CODE = "tcg><tb-cache unit='MiB'>128</tb-cache></tcg><acpi".freeze

    # What QEMU emulates at least cost: no vectors that programs would use, and none of the errors
    # in a processor that make kernels change page tables at each system call.
    EMULATED_CPU = "Opteron_G3".freeze

    # A link is a layer-2 network of its own, without an address, DHCP or a way out.
    def self.link(nic)
      {
        auto_config: false,
        mac: nic["mac"].delete(":"), # as both providers take it
        libvirt__network_name: nic["network"],
        libvirt__forward_mode: "none",
        libvirt__dhcp_enabled: false,
        libvirt__mtu: nic["mtu"],
        libvirt__bridge_stp: false,
      }
    end

    def self.reach(provider, lab)
      provider.uri = lab.libvirt_uri if lab.libvirt_uri
      provider.default_prefix = "#{lab.name}_"
    end

    def self.machine(provider, lab, machine)
      reach(provider, lab)
      provider.memory = machine["memory_mib"]
      provider.cpus = machine["cpus"]
      provider.nic_model_type = "virtio"
      provider.graphics_type = "none"
      provider.memballoon_enabled = false
      provider.management_network_name = "#{lab.name}-management"
      provider.management_network_address = lab.plan["management_network"]
      provider.management_network_mode = "none"
      accelerate(provider, lab) if DMM.libvirt?
    end

    def self.accelerate(provider, lab)
      if lab.emulated?
        provider.driver = "qemu"
        provider.cpu_mode = "custom"
        provider.cpu_model = EMULATED_CPU
        provider.features = [TRANSLATED_CODE, "apic", "pae"]
      else
        provider.driver = "kvm"
        provider.cpu_mode = "host-passthrough"
      end
    end
  end
end
