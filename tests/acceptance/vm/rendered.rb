# Prints as JSON what Vagrant would tell a provider of each machine: rendered.rb VAGRANT_DIRECTORY PROVIDER

require "json"
require "vagrant"

directory, provider = ARGV
ARGV.replace([]) # the Vagrantfile reads the command line too
environment = Vagrant::Environment.new(cwd: directory, ui_class: Vagrant::UI::Silent)

def plain(value)
  value.is_a?(Symbol) ? ":#{value}" : value
end

machines = environment.machine_names.map do |name|
  config = environment.vagrantfile.machine_config(name, provider.to_sym, environment.boxes, nil, validate_provider: false)[:config]
  settings = config.vm.get_provider_config(provider.to_sym)
  [name, {
    autostart: environment.vagrantfile.machine_names_and_options[name][:autostart] != false,
    box: config.vm.box,
    hostname: config.vm.hostname,
    networks: config.vm.networks.map { |kind, options| [kind, options] },
    provisioners: config.vm.provisioners.map(&:name),
    settings: settings.instance_variables.to_h { |v| [v.to_s.delete("@"), settings.instance_variable_get(v)] }
                      .select { |_, v| [String, Integer, TrueClass, FalseClass, Array].any? { |k| v.is_a?(k) } },
    customizations: provider == "virtualbox" ? settings.customizations.map { |_, command| command.map { |v| plain(v) } } : [],
  }]
end
puts JSON.generate(machines.to_h)
