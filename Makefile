# Each target is one line that you can as well type yourself; see README.md.
# Variables: PROFILE, TOPOLOGY, LAB (name of the lab; several can run at once), MN, TO, HOST.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

PROFILE ?= distributed-query
TOPOLOGY ?= three-networks
LAB ?= dmm
OUT ?= build/report
export LAB

PYTHON := .venv/bin/python
DMM := .venv/bin/dmm-testbed
PLAY := .venv/bin/ansible-playbook -i inventory/$(TOPOLOGY).yml -e profile=$(PROFILE)
OPTIONS := --topology inventory/$(TOPOLOGY).yml --profile $(PROFILE) --lab $(LAB) --out $(OUT)
INSTALLED := .venv/.installed
PYTHON_FOLDERS := agent controller plugins tests

.PHONY: help setup lab test up handover verify report shell capture down bench lint unit acceptance

help: ## say what can be done
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo 'Variables: PROFILE=$(PROFILE) TOPOLOGY=$(TOPOLOGY) LAB=$(LAB)'

setup: $(INSTALLED) ## install what is missing: Debian packages, .venv, pinned Python packages

$(INSTALLED): requirements.txt pyproject.toml agent/pyproject.toml scripts/setup.sh
	scripts/setup.sh

lab: up ## from nothing to a report: machines, agents, scenario under traffic, table, page
	$(DMM) scenario $(OPTIONS)

up: setup ## make and configure the machines, start the agents
	$(PLAY) playbooks/site.yml

handover: setup ## move a mobile node: MN=mn11 TO=ar31
	$(PLAY) playbooks/handover.yml -e mn=$(MN) -e to=$(TO)

verify: setup ## check the running lab with testinfra
	$(PLAY) playbooks/verify.yml

report: setup ## make the page from the last results
	$(PLAY) playbooks/report.yml

shell: setup ## a shell on a machine: HOST=gw1
	@$(PYTHON) -m dmm_testbed.machines shell --lab $(LAB) $(HOST)

capture: setup ## watch a machine's packets: HOST=gw1 [INTERFACE=any] [FILTER='ip6 proto 135']
	@$(PYTHON) -m dmm_testbed.machines capture --lab $(LAB) $(HOST) $(or $(INTERFACE),any) $(FILTER)

down: setup ## take the machines away, whatever state they are in
	$(PLAY) playbooks/destroy.yml

test: lint unit acceptance ## everything, from lint to acceptance tests on machines

lint: setup ## style and types
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy $(PYTHON_FOLDERS)
	.venv/bin/yamllint --strict .
	.venv/bin/ansible-lint --offline -q

unit: setup ## unit tests and simulations; no root, no machines
	$(PYTHON) -m pytest --numprocesses auto

acceptance: setup ## tests on machines of their own lab
	$(PYTHON) -m pytest tests/kernel tests/acceptance

bench: setup ## how long things take; results in build/bench.json
	$(PYTHON) -m dmm_testbed.bench --topology inventory/$(TOPOLOGY).yml --profile $(PROFILE) --lab $(LAB)
