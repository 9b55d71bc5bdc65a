# Each target works from an empty clone: it installs what it needs into .venv* first, and nothing the second time.

PYTHON ?= python3
# Trust the certificates that the machine trusts, as pip does: company proxies have their own.
export UV_SYSTEM_CERTS := 1
# Nothing may write caches into the template's folder: they would be baked.
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache
CLOUD ?= aws
BIN := .venv/bin

.PHONY: demo test lint docs e2e update record lock versions clean help

help: ## Show the targets
	@awk -F ':.*## ' '/^##@/ {print "\n" substr($$0, 5)} /^[a-z0-9-]+:.*## / {printf "  make %-9s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

##@ Try it
demo: .venv/installed ## See an XCom land in a bucket, with no account: CLOUD=gcp, azure or local, BACKEND=custom, AIRFLOW=2, ASTRO_SDK=1, COMPRESSION=..., UI=1
	@$(BIN)/python -m tools.demo.start $(if $(UI),--ui) cloud=$(CLOUD) xcom_backend=$(BACKEND) airflow=$(AIRFLOW) astro_sdk=$(ASTRO_SDK) compression=$(COMPRESSION) threshold=$(THRESHOLD) $(if $(PICTURE),--picture $(PICTURE))

##@ Develop
test: .venv/installed ## Run the tests of the template and of the projects it emits; PROJECT=../my-project: those of the custom class against that project
ifdef PROJECT
	@$(BIN)/python -m tools.class_tests $(PROJECT)
else
	@echo "Testing every bake, then the doctor, the classes and projects on real Airflow: up to 20 minutes on 2 cores."
	@$(BIN)/pytest
endif

lint: .venv/installed ## Check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict .

docs: .venv-docs/installed ## Build the site of docs/ into site/, strictly, and look at every page in Chromium, which it installs
	@.venv-docs/bin/python -m tools.pages.build $(if $(ONLY_BUILD),--only-build)

e2e: .venv/installed ## Run the emitted project among real servers and tools, which it installs: ONLY=cluster, SLICE=1 for what CI runs
	@echo "Running the end-to-end tests one after the other$(if $(SLICE)$(ONLY),.,: about 28 minutes on 2 cores from an empty clone.)"
	@$(BIN)/pytest --numprocesses 0 -p no:cacheprovider -rA --show-capture=no e2e$(if $(ONLY),/$(ONLY)) $(if $(SLICE),-m slice)

update: .venv/installed ## Write the golden files, the generated pages and the numbers of README.md, after a change of the template
	@$(BIN)/pytest --quiet tests/bakes/test_golden.py --update-golden
	@$(BIN)/python -m tools.pages

##@ Maintain
record: .venv/installed $(if $(filter shots,$(ONLY)),.venv-docs/installed) ## Measure: ONLY=bench, cluster, explorer, fire, upgrade, tested-with, docker, compression, least-privilege, values, shots, streams or fuzz
	@$(BIN)/python -m tools.record $(ONLY) $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(PART),--only=$(PART))

lock: .venv/installed ## Write the lock files in requirements/
	@$(BIN)/python -m tools.lock

versions: .venv/installed ## Say which pins moved in the package index: WRITE=1 moves them and locks again
	@$(BIN)/python -m tools.versions $(if $(WRITE),--write)

clean: ## Remove all environments and demo projects
	rm -rf .venv .venv-* .demo

.venv-docs/installed: requirements/docs.txt | .venv/installed
	@echo "Installing what builds the site into .venv-docs (about 20 seconds, once)"
	@$(BIN)/uv venv --quiet --allow-existing --no-python-downloads --python '>=3.11' .venv-docs
	@$(BIN)/uv pip install --quiet --python .venv-docs/bin/python --requirement requirements/docs.txt
	@touch $@

.venv/installed: requirements/template.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"This needs Python 3.10 or newer, and {sys.executable} is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12 ...")'
	@echo "Installing the template's tools into .venv (about 20 seconds, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements/template.txt uv
	@$(BIN)/uv pip install --quiet --requirement requirements/template.txt
	@$(BIN)/uv pip install --quiet --no-deps --editable .
	@touch $@
