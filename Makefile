# Each target is one line that you can as well type yourself; see README.md.
# Variables: MACHINES (namespace, vagrant or metal), PROFILE, TOPOLOGY, LAB (name of the lab; several
# can run at once), MN, TO, HOST, METAL (inventory of hosts that exist already).

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

MACHINES ?= namespace
PROFILE ?= gateway-query
TOPOLOGY ?= three-networks
LAB ?= dmm
METAL ?= inventory/metal.yml
OUT ?= build/report
DESIGNS := anycast-query anycast-push gateway-query gateway-query-rewrite gateway-push \
    access-query access-query-referral access-push distributed-no-ro
export MACHINES TOPOLOGY PROFILE LAB

PYTHON := .venv/bin/python
DMM := .venv/bin/dmm-testbed
INSTALLED := .venv/.installed

# What differs between kinds of machines: inventories besides the topology, and who makes them.
ifeq ($(MACHINES),namespace)
MAKE_MACHINES = $(PLAY) playbooks/site.yml
REMOVE_MACHINES = $(PLAY) playbooks/destroy.yml
else ifeq ($(MACHINES),vagrant)
export VAGRANT_DOTFILE_PATH := $(CURDIR)/vagrant/.vagrant$(if $(filter-out dmm,$(LAB)),-$(LAB))
INSTALLED += .venv/.installed-vagrant
INVENTORIES := -i vagrant/inventory.yml -i $(VAGRANT_DOTFILE_PATH)/provisioners/ansible/inventory
# Machines that run already would be provisioned twice by `vagrant up --provision`.
OTHER_BOX := $(DMM_BOX)$(filter virtualbox,$(VAGRANT_DEFAULT_PROVIDER))
MAKE_MACHINES = $(if $(OTHER_BOX),,$(PYTHON) -m dmm_testbed.vagrant box && )cd vagrant && \
    vagrant up --no-provision && vagrant provision
REMOVE_MACHINES = cd vagrant && ./libvirtd clear $(LAB) $(VAGRANT_DOTFILE_PATH) && vagrant destroy -f
else ifeq ($(MACHINES),metal)
INVENTORIES := -i $(METAL)
MAKE_MACHINES = $(PLAY) playbooks/site.yml
REMOVE_MACHINES = $(PLAY) playbooks/destroy.yml
else
$(error MACHINES: expected namespace, vagrant or metal, got $(MACHINES))
endif

PLAY := .venv/bin/ansible-playbook -i inventory/$(TOPOLOGY).yml $(INVENTORIES) -e profile=$(PROFILE)
OPTIONS := --topology inventory/$(TOPOLOGY).yml --profile $(PROFILE) --lab $(LAB) \
    --machines $(MACHINES) --out $(OUT)
REACHED := --machines $(MACHINES) --lab $(LAB)
PYTHON_FOLDERS := agent controller plugins tests

.PHONY: help setup box lab designs test test-vm test-metal up handover verify report shell capture down bench lint unit \
    acceptance

help: ## say what can be done
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: MACHINES=$(MACHINES) TOPOLOGY=$(TOPOLOGY) PROFILE=$(PROFILE) LAB=$(LAB)'

setup: $(INSTALLED) ## install what is missing: Debian packages, .venv, pinned Python packages

.venv/.installed: requirements.txt pyproject.toml agent/pyproject.toml scripts/setup.sh
	scripts/setup.sh

.venv/.installed-vagrant: .venv/.installed scripts/setup-vagrant.sh
	scripts/setup-vagrant.sh

box: setup ## build the disk image of Vagrant's machines (MACHINES=vagrant), if it is not there
	$(PYTHON) -m dmm_testbed.vagrant box

lab: up ## from nothing to a report: machines, agents, scenario under traffic, table, page
	$(DMM) scenario $(OPTIONS)

up: setup ## make and configure the machines, start the agents
	$(MAKE_MACHINES)

handover: setup ## move a mobile node: MN=mn11 TO=ar31
	$(PLAY) playbooks/handover.yml -e mn=$(MN) -e to=$(TO)

designs: setup ## play all designs of the draft on machines of their own; one page shows them all
	failed=0; for profile in $(DESIGNS); do \
	    $(MAKE) down lab LAB=designs TOPOLOGY=designs PROFILE=$$profile \
	        OUT=$(OUT)/designs/$$profile || failed=1; \
	done; \
	$(MAKE) down LAB=designs TOPOLOGY=designs; \
	$(PYTHON) -m dmm_testbed.report.designs $(OUT)/designs; exit $$failed

verify: setup ## check the running lab with testinfra
	$(PLAY) playbooks/verify.yml

report: setup ## make the page from the last results
	$(PLAY) playbooks/report.yml

shell: setup ## a shell on a machine: HOST=gw1
	@$(PYTHON) -m dmm_testbed.machines shell $(REACHED) $(HOST)

capture: setup ## watch a machine's packets: HOST=gw1 [INTERFACE=any] [FILTER='ip6 proto 135']
	@$(PYTHON) -m dmm_testbed.machines capture $(REACHED) $(HOST) $(or $(INTERFACE),any) $(FILTER)

down: setup ## take the machines away, whatever state they are in
	$(REMOVE_MACHINES)

test: lint unit acceptance ## everything, from lint to acceptance tests on machines

lint: setup ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(PYTHON_FOLDERS)
	.venv/bin/yamllint --strict .
	.venv/bin/ansible-lint --offline -q

unit: setup ## unit tests and simulations; no root, no machines
	$(PYTHON) -m pytest --numprocesses auto

acceptance: setup ## tests on kernels, machines and labs of their own, two at a time
	$(PYTHON) -m pytest --numprocesses 2 --dist loadscope tests/kernel tests/machines
	$(PYTHON) -m pytest --numprocesses 2 --dist loadscope tests/acceptance

test-vm: ## the same on eight VMs made by Vagrant, and what only VMs can do; then test-metal
	$(MAKE) MACHINES=vagrant setup box
	$(PYTHON) -m pytest --machines vagrant --lab-topology small -rs tests/acceptance
	$(MAKE) test-metal

test-metal: ## the playbooks on three VMs that are somebody's servers
	$(MAKE) MACHINES=vagrant setup
	$(PYTHON) -m pytest -rs tests/metal

bench: setup ## how long things take; results in build/bench.json
	$(PYTHON) -m dmm_testbed.bench --topology inventory/$(TOPOLOGY).yml --profile $(PROFILE) --lab $(LAB)
