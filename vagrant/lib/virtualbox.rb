# Virtual machines by VirtualBox: what each gets.

module DMM
  module VirtualBox
    MOST_NICS_OF_PIIX3 = 8

    # An internal network joins the two ends of a link and nobody else.
    def self.link(nic)
      { virtualbox__intnet: nic["network"], nic_type: "virtio" }
    end

    def self.machine(provider, lab, machine)
      adapters = machine["nics"].size + 1
      provider.name = "#{lab.name}_#{machine["name"]}"
      provider.memory = machine["memory_mib"]
      provider.cpus = machine["cpus"]
      provider.linked_clone = true
      provider.customize ["modifyvm", :id, "--groups", "/dmm-#{lab.name}"]
      provider.customize ["modifyvm", :id, "--chipset", adapters > MOST_NICS_OF_PIIX3 ? "ich9" : "piix3"]
      machine["nics"].each_index do |index|
        adapter = index + 2 # the first one is Vagrant's own
        # A mobile node's ports and an access router's shared address are not the adapter's own.
        provider.customize ["modifyvm", :id, "--nicpromisc#{adapter}", "allow-all"]
        provider.customize ["modifyvm", :id, "--cableconnected#{adapter}", "on"]
      end
    end
  end
end
