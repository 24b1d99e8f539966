# Vagrant's Ansible provisioner, run once for all machines of a lab.

require Vagrant.source_root.join("plugins/provisioners/ansible/provisioner/host")
require Vagrant.source_root.join("plugins/provisioners/ansible/config/host")

module DMM
  module Site
    OTHERS_WITHIN_S = 900
    POLL_S = 2

    # Machines boot side by side, so the last one to be defined is not the last one to be ready.
    class Provisioner < VagrantPlugins::Ansible::Provisioner::Host
      def provision
        wait_for_others
        super
      end

      private

      def wait_for_others
        deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + OTHERS_WITHIN_S
        said = nil
        until (waiting = others.reject { |name| ready?(name) }).empty?
          @machine.ui.info("waiting for #{waiting.join(", ")}") unless said == waiting
          said = waiting
          if Process.clock_gettime(Process::CLOCK_MONOTONIC) > deadline
            raise Mistake, "#{waiting.join(", ")} cannot be reached: see `vagrant status`, then " \
              "run `vagrant up --provision` again"
          end
          sleep POLL_S
        end
      end

      def others
        @machine.env.machine_names - [@machine.name]
      end

      def ready?(name)
        other = @machine.env.machine(name, @machine.provider_name)
        !other.id.nil? && !other.ssh_info.nil? && other.communicate.ready?
      rescue Vagrant::Errors::VagrantError
        false
      end
    end

    class Plugin < Vagrant.plugin("2")
      name "DMM testbed"
      config(:dmm_site, :provisioner) { VagrantPlugins::Ansible::Config::Host }
      provisioner(:dmm_site) { Provisioner }
    end

    # The way into the network namespace of the testbed's own libvirtd, for whoever reads the
    # inventory that Vagrant writes.
    def self.hosts(lab)
      return {} unless lab.proxy_command

      way = { "ansible_ssh_extra_args" => "-o ProxyCommand=\"#{lab.proxy_command}\"" }
      lab.machines.to_h { |machine| [machine["name"], way] }
    end

    def self.provision(node, lab)
      node.vm.provision "site", type: :dmm_site do |ansible|
        ansible.playbook = File.join(ROOT, "playbooks", "site.yml")
        ansible.playbook_command = File.join(ROOT, ".venv", "bin", "ansible-playbook")
        ansible.config_file = File.join(ROOT, "ansible.cfg")
        ansible.compatibility_mode = "2.0"
        ansible.limit = "all,localhost" # localhost is not one of all
        # The topology, what is particular to virtual machines, and (Vagrant's own) their addresses.
        ansible.raw_arguments = ["-i", lab.topology_file, "-i", File.join(ROOT, "vagrant", "inventory.yml")]
        ansible.host_vars = hosts(lab)
        ansible.extra_vars = { profile: lab.profile, dmm_lab: lab.name }
      end
    end
  end
end
