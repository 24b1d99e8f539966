# What a machine is called inside.

module DMM
  module Naming
    # Vagrant's own way for Debian asks for and restarts one service after the other, which takes
    # minutes under emulation; this is one command.
    class Capability
      def self.change_host_name(machine, name)
        machine.communicate.sudo(<<~SH)
          set -e
          printf '127.0.1.1 #{name}\\n' >/etc/hosts.new
          sed '/^127\\.0\\.1\\.1 /d' /etc/hosts >>/etc/hosts.new && mv /etc/hosts.new /etc/hosts
          printf '#{name}\\n' >/etc/hostname
          hostname '#{name}'
        SH
      end
    end

    class Plugin < Vagrant.plugin("2")
      name "DMM testbed: names"
      guest_capability(:debian, :change_host_name) { Capability }
    end
  end
end
