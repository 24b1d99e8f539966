# The lab that this directory holds: which topology, and what Python says of it.

require "fileutils"
require "json"
require "open3"

module DMM
  ROOT = File.expand_path("../..", __dir__)
  PYTHON = File.join(ROOT, ".venv", "bin", "python")

  class Mistake < Vagrant::Errors::VagrantError
    def initialize(words)
      @words = words
      super()
    end

    def error_message
      @words
    end
  end

  # Whether this run of Vagrant may make machines; what has to be known then takes time to find out.
  def self.making_machines?
    ARGV.include?("up")
  end

  def self.making_or_removing_machines?
    making_machines? || ARGV.include?("destroy")
  end

  # Whether this run is about libvirt, as far as the command line and environment tell.
  def self.libvirt?
    named = ARGV.join(" ")[/--provider[= ](\S+)/, 1] || ENV["VAGRANT_DEFAULT_PROVIDER"] || "libvirt"
    named == "libvirt"
  end

  # Asks the controller's Python; what it refuses is told in its own words.
  def self.ask(*arguments)
    unless File.executable?(PYTHON)
      raise Mistake, "#{PYTHON} is missing: run `make setup MACHINES=vagrant` in #{ROOT} first"
    end
    output, errors, status = Open3.capture3(PYTHON, "-m", "dmm_testbed.vagrant", *arguments, chdir: ROOT)
    raise Mistake, errors.strip unless status.success?

    JSON.parse(output)
  end

  class Lab
    CHOICES = { "topology" => "TOPOLOGY", "profile" => "PROFILE", "lab" => "LAB" }.freeze
    DEFAULTS = { "topology" => "three-networks", "profile" => "gateway-query", "lab" => "dmm" }.freeze
    PUBLIC_BOX = "debian/bookworm64".freeze
    LIBVIRTD = File.join(ROOT, "vagrant", "libvirtd")

    attr_reader :plan, :libvirt_uri

    def self.load
      new(choices)
    end

    # What was chosen when the machines were made holds until they are gone.
    def self.choices
      made = File.exist?(record) ? JSON.parse(File.read(record)) : nil
      wanted = CHOICES.transform_values { |name| ENV[name].to_s }.reject { |_, value| value.empty? }
      # Who removes machines gets rid of those that there are, and need not say which.
      wanted.delete("topology") if made && ARGV.include?("destroy")
      chosen = (made || DEFAULTS).merge(wanted)
      changed = made ? %w[topology lab].reject { |key| chosen[key] == made[key] } : []
      unless changed.empty?
        given = changed.map { |key| "#{CHOICES[key]}=#{chosen[key]}" }.join(" ")
        raise Mistake, "#{File.dirname(record)} holds lab #{made["lab"]} with topology " \
          "#{made["topology"]}, so #{given} is refused: run `vagrant destroy -f` first, or put " \
          "the other lab elsewhere with VAGRANT_DOTFILE_PATH=.vagrant-NAME"
      end
      chosen
    end

    def self.record
      File.join(File.expand_path(ENV["VAGRANT_DOTFILE_PATH"] || ".vagrant", File.expand_path("..", __dir__)), "dmm-lab.json")
    end

    def initialize(choices)
      @choices = choices
      @plan = DMM.ask("plan", "--topology", topology_file, "--lab", name)
      @mutex = Mutex.new
      check if DMM.making_machines? # before anything is started
      @libvirt_uri = own_libvirtd
      return unless DMM.making_or_removing_machines?

      refuse_strangers if DMM.libvirt?
      # Not after each machine: what Vagrant does to the others needs our libvirtd still.
      this = Process.pid
      at_exit { forget_unless_needed if Process.pid == this }
    end

    # How SSH gets into the network namespace of the testbed's own libvirtd.
    def proxy_command
      "#{LIBVIRTD} connect %h %p" if @libvirt_uri
    end

    def name
      @choices["lab"]
    end

    def profile
      @choices["profile"]
    end

    def topology_file
      given = @choices["topology"]
      given.include?("/") ? File.expand_path(given) : File.join(ROOT, "inventory", "#{given}.yml")
    end

    def machines
      @plan["machines"]
    end

    # Names of machines that are there, and that the topology has no more.
    def former_machines
      made.map { |id| id.split("/")[-3] }.uniq - machines.map { |machine| machine["name"] }
    end

    # Our own box is for libvirt; others take a public one.
    def box
      own_box? ? @plan["box"]["name"] : ENV["DMM_BOX"] || PUBLIC_BOX
    end

    def box_url
      "file://#{@plan["box"]["file"]}" if own_box?
    end

    # Whether guests run by software emulation; decided when the first machine is made.
    def emulated?
      @choices["emulated"] = check["emulated"] if DMM.making_machines? && !@choices.key?("emulated")
      @choices["emulated"]
    end

    # Before machines are made: is there a box, is the computer large enough, does KVM work?
    def check
      @check ||= begin
        need_box
        hardware = DMM.libvirt? ? "--no-hardware" : "--hardware"
        DMM.ask("check", hardware, "--topology", topology_file, "--lab", name)
      end
    end

    # Says once what is going to be made, and notes down what was chosen.
    def begin(machine)
      @mutex.synchronize do
        machine.env.ui.info("Lab #{name}: #{check["say"]}.") unless @begun
        @begun = true
        remember
      end
    end

    # The last machine takes the lab's record with it, what its agents' keys were made from, and our
    # libvirtd.
    def forget_unless_needed
      return unless made.empty?

      # Without a record a lab of this name may be another's, of namespaces say.
      FileUtils.rm_rf(File.dirname(plan["secret"])) if File.exist?(self.class.record)
      FileUtils.rm_f(self.class.record)
      system(LIBVIRTD, "prune") if @libvirt_uri
    end

    private

    # Machines of this lab's name that another directory made, or a run that was cut off.
    def refuse_strangers
      directory = File.dirname(self.class.record)
      found, status = Open3.capture2(LIBVIRTD, "strangers", name, directory)
      return if !status.success? || found.empty?

      names = found.lines.map { |line| line.split.last }.join(", ")
      raise Mistake, "libvirt has machines of a lab #{name} that #{directory} knows nothing of: " \
        "#{names}. Another copy of the testbed made them, or was cut off: remove them with " \
        "`make down MACHINES=vagrant LAB=#{name}`, or give this lab another name with LAB=NAME"
    end

    # Vagrant's files of the machines that are there.
    def made
      Dir.glob(File.join(File.dirname(self.class.record), "machines", "*", "*", "id"))
    end

    def remember
      FileUtils.mkdir_p(File.dirname(self.class.record))
      File.write(self.class.record, JSON.generate(@choices))
    end

    def need_box
      return if !own_box? || @plan["box"]["built"] || box_added?

      raise Mistake, "there is no box yet: run `make box` (it takes a minute), or name one with DMM_BOX"
    end

    def own_box?
      DMM.libvirt? && !ENV["DMM_BOX"]
    end

    def box_added?
      home = ENV["VAGRANT_HOME"] || File.expand_path("~/.vagrant.d")
      Dir.exist?(File.join(home, "boxes", @plan["box"]["name"]))
    end

    # The testbed's own libvirtd, where the computer has none; started when machines need it.
    def own_libvirtd
      output, status = Open3.capture2(LIBVIRTD, "status")
      return output.strip if status.success?
      return unless @choices["own_libvirtd"] || (DMM.making_or_removing_machines? && DMM.libvirt?)

      output, errors, status = Open3.capture3(LIBVIRTD, "start")
      raise Mistake, errors.strip unless status.success?

      @choices["own_libvirtd"] = !output.strip.empty?
      output.strip unless output.strip.empty?
    end
  end
end
