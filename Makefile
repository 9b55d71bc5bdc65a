# Each target works from an empty clone: it installs what it needs into .venv* first, and nothing the second time.

PYTHON ?= python3
# Trust the certificates that the machine trusts, as pip does: company proxies have their own.
export UV_SYSTEM_CERTS := 1
# Nothing may write caches into the template's folder: they would be baked.
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache
CLOUD ?= aws
BIN := .venv/bin

.PHONY: demo test e2e lint lock golden readme troubleshooting least-privilege versions tested-with upgrade bench bench-compression clean help

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1|/' | column -t -s '|'

demo: .venv/installed ## See an XCom land in a bucket, with no account: CLOUD=gcp, azure or local, BACKEND=custom, AIRFLOW=2, ASTRO_SDK=1, COMPRESSION=..., UI=1
	@$(BIN)/python demo/demo.py $(if $(UI),--ui) cloud=$(CLOUD) xcom_backend=$(BACKEND) airflow=$(AIRFLOW) astro_sdk=$(ASTRO_SDK) compression=$(COMPRESSION) threshold=$(THRESHOLD) $(if $(PICTURE),--picture $(PICTURE))

test: .venv/installed ## Run the tests of the template and of the projects it emits (up to 20 minutes the first time)
	@echo "Testing every bake, then the doctor and four projects on real Airflow: about 13 minutes on 2 cores."
	@$(BIN)/pytest

e2e: .venv/installed ## Run the emitted project among real servers and tools, which it installs: ONLY=cluster, SLICE=1 for what CI runs
	@echo "Running the end-to-end tests one after the other: up to 40 minutes on 2 cores."
	@$(BIN)/pytest --numprocesses 0 -p no:cacheprovider -rA --show-capture=no e2e$(if $(ONLY),/$(ONLY)) $(if $(SLICE),-m slice)

lint: .venv/installed ## Check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict .

golden: .venv/installed ## Write tests/golden anew, after a change of the template
	@$(BIN)/pytest tests/test_golden.py --update-golden

readme: .venv/installed ## Write the table of questions in README.md anew
	@$(BIN)/python docs/readme.py

troubleshooting: .venv/installed ## Write docs/troubleshooting.md anew, from the checks of the doctor
	@$(BIN)/python docs/troubleshooting.py

least-privilege: .venv/installed ## Take each right away and write docs/least-privilege.md from what fails (3 minutes)
	@$(BIN)/python docs/least_privilege_page.py

lock: .venv/installed ## Make the lock files in requirements/ anew
	@$(BIN)/python requirements/lock.py

bench: .venv/installed ## Measure the custom class beside the provider's backend, and write docs/benchmarks.md anew: ROUNDS=5, ONLY=frame
	@$(BIN)/python benchmarks/xcom_backends.py $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(ONLY),--only=$(ONLY))

bench-compression: .venv/installed ## Count the compressed XComs that get lost, and write benchmarks/compression.md anew
	@$(BIN)/python benchmarks/compression_proof.py

versions: .venv/installed ## Tell which pins moved in the package index: WRITE=1 moves them and locks anew
	@$(BIN)/python requirements/versions.py $(if $(WRITE),--write)

tested-with: .venv/installed ## Test projects on every Airflow, and write the table of what was tested into README.md
	@XCOM_TEMPLATE_RECORD=1 $(BIN)/pytest tests/test_projects.py tests/test_airflow_versions.py
	@$(BIN)/python docs/readme.py

upgrade: .venv/installed ## Walk from Airflow 2.11 to 3.3 with real XComs (about a minute once installed; needs PostgreSQL)
	@$(BIN)/python tests/upgrade/walk.py
	@$(BIN)/python tests/upgrade/walk.py --custom

clean: ## Remove all environments and demo projects
	rm -rf .venv .venv-* .demo

.venv/installed: requirements/template.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 10) and f"This needs Python 3.10 or newer, and {sys.executable} is {sys.version.split()[0]}. Name another one: make PYTHON=python3.12 ...")'
	@echo "Installing the template's tools into .venv (about 20 seconds, once)"
	@$(PYTHON) -m venv .venv
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint requirements/template.txt uv
	@$(BIN)/uv pip install --quiet --requirement requirements/template.txt
	@touch $@
