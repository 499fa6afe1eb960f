# Everything a newcomer needs; each target does its own set-up.

PYTHON = .venv/bin/python
RUN = $(PYTHON) -m nattools

.PHONY: help setup lab-tools peers diagnose test check test-as-user coverage bench loss fuzz attacks resume punches redraw documents lab clean

help:
	@echo "make diagnose      diagnose a simulated home network, and nothing else"
	@echo "make test          all tests (as root: those in network namespaces too)"
	@echo "make test-as-user  those that need namespaces, as a user made for it (root)"
	@echo "make check         format, lint, types, layers, generated documents"
	@echo "make coverage      all tests, with how much of each module they run"
	@echo "make bench         our figures, beside the programs they are compared with"
	@echo "make loss          thousands of networks and routers, with lost packets"
	@echo "make fuzz          a million damaged documents, thousands of evil peers"
	@echo "make attacks       a nattools serve under attack, 60 s each way (root)"
	@echo "make resume        100 MB through a pipe while all that can break breaks (root)"
	@echo "make punches       every pair of networks connected, many times"
	@echo "make redraw        every report drawn and measured again, also in namespaces"
	@echo "make peers         Tailscale's client too, for the tests with it (Go, 4 min)"
	@echo "make documents     the reference and the samples of the documents, anew"
	@echo "make lab           the scenarios that come with nattools"
	@echo "make clean         remove what the others made"

setup:
	@scripts/setup.sh dev

lab-tools:
	@scripts/lab-tools.sh
	@scripts/peers.sh

peers:
	@scripts/peers.sh all

diagnose:
	@scripts/setup.sh
	@$(RUN) diagnose --lab home-router
	@echo "That was a simulated home network. To measure the network you are on:"
	@echo "    .venv/bin/nattools diagnose"
	@echo "It exchanges one to two hundred small packets with public STUN servers, and"
	@echo "asks Tailscale's public relays how far away they are (--no-derp: does not)."

test: setup lab-tools
	@scripts/test.sh $(ARGS)

test-as-user: setup lab-tools
	@scripts/as-user.sh tests/netns --ignore=tests/netns/test_serve_under_attack.py $(ARGS) + tests/interop $(ARGS)

check: setup
	@$(PYTHON) -m ruff check .
	@$(PYTHON) -m ruff format --check .
	@$(PYTHON) -m mypy
	@.venv/bin/lint-imports
	@$(PYTHON) scripts/schema.py --check docs/schema/report.json
	@$(PYTHON) scripts/reference.py --check
	@$(PYTHON) scripts/house.py

coverage: setup lab-tools
	@rm -rf .coverage .coverage.*
	@NATTOOLS_COVERAGE=1 scripts/test.sh $(ARGS); status=$$?; $(PYTHON) -m coverage combine -q; \
	  $(PYTHON) -m coverage report --sort=cover && exit $$status

bench: setup lab-tools
	@mkdir -p .benchmarks && rm -f .benchmarks/latest.json
	@$(PYTHON) -m pytest tests/bench -o addopts= -q --benchmark-only --benchmark-sort=name \
	  --benchmark-columns=min,median,max,rounds --benchmark-json=.benchmarks/latest.json $(ARGS); \
	  status=$$?; $(PYTHON) tests/bench/summary.py .benchmarks/latest.json && exit $$status

loss: setup
	@NATTOOLS_LOSS_RUNS=1000 NATTOOLS_ROUTERS=10000 NATTOOLS_RANDOM_NETWORKS=20000 NATTOOLS_LOSSY_RUNS=200 \
	  $(PYTHON) -m pytest tests/scenarios/test_lossy_overlays.py tests/scenarios/test_loss.py \
	  tests/properties/test_random_routers.py tests/scenarios/test_punch_trial.py \
	  tests/scenarios/test_random_networks.py tests/properties/test_ways.py tests/scenarios/test_ipv6_loss.py $(ARGS)

fuzz: setup
	@NATTOOLS_FUZZ_DOCUMENTS=1000000 NATTOOLS_FUZZ_MESSAGES=1000000 NATTOOLS_CONVERSATIONS=3000 \
	  NATTOOLS_NEW_EXAMPLES=1 $(PYTHON) -m pytest tests/properties $(ARGS)

attacks: setup
	@NATTOOLS_ATTACK_S=60 $(PYTHON) -m pytest tests/netns/test_serve_under_attack.py -rP $(ARGS)

resume: setup lab-tools
	@NATTOOLS_RESUME_MB=100 NATTOOLS_RESUME_LOSS_S=30 NATTOOLS_RELAY_MB=100 NATTOOLS_SESSION_S=60 \
	  $(PYTHON) -m pytest tests/netns/test_punch_resume.py tests/netns/test_punch_relay.py \
	  tests/netns/test_pwnat_command.py -rP $(ARGS)

punches: setup lab-tools
	@NATTOOLS_PUNCH_SEEDS=100 NATTOOLS_PUNCH_REPEAT=5 $(PYTHON) -m pytest tests/scenarios/test_punch_seeds.py \
	  tests/scenarios/test_punch_matrix.py tests/scenarios/test_relayed_pairs.py tests/scenarios/test_pwnat_matrix.py \
	  tests/netns/test_punch_matrix.py $(ARGS)

redraw: setup lab-tools
	@NATTOOLS_REDRAW_ALL=1 $(PYTHON) -m pytest tests/scenarios/test_redraw.py $(ARGS)

documents: setup
	@$(PYTHON) scripts/reference.py
	@$(PYTHON) scripts/samples.py

lab: setup
	@$(RUN) lab list

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache .benchmarks .coverage .coverage.* build dist *.egg-info
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
