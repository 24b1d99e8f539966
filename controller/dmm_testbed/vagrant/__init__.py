"""Labs of virtual machines that Vagrant makes: what it has to know of a topology, and of this host.

`vagrant/Vagrantfile` asks `python -m dmm_testbed.vagrant plan`. See docs/vms.md.
"""
