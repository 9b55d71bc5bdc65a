# Each target works from an empty clone: it installs what it needs into .venv* first, and nothing the second time.

PYTHON ?= python3
# Trust the certificates that the machine trusts, as pip does: company proxies have their own.
export UV_SYSTEM_CERTS := 1
# Nothing may write caches into the template's folder: they would be baked.
export PYTHONDONTWRITEBYTECODE := 1
export RUFF_CACHE_DIR := $(CURDIR)/.ruff_cache
CLOUD ?= aws
BIN := .venv/bin

.PHONY: demo test e2e cluster fire fuzz least-privilege docs docs-shots lint lock golden readme troubleshooting versions tested-with upgrade bench bench-compression clean help

help: ## Show the targets
	@grep -E '^[a-z0-9-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z0-9-]+):.*## /\1|/' | column -t -s '|'

demo: .venv/installed ## See an XCom land in a bucket, with no account: CLOUD=gcp, azure or local, BACKEND=custom, AIRFLOW=2, ASTRO_SDK=1, COMPRESSION=..., UI=1
	@$(BIN)/python -m tools.demo.start $(if $(UI),--ui) cloud=$(CLOUD) xcom_backend=$(BACKEND) airflow=$(AIRFLOW) astro_sdk=$(ASTRO_SDK) compression=$(COMPRESSION) threshold=$(THRESHOLD) $(if $(PICTURE),--picture $(PICTURE))

test: .venv/installed ## Run the tests of the template and of the projects it emits (up to 20 minutes the first time)
	@echo "Testing every bake, then the doctor and four projects on real Airflow: 15 to 20 minutes on 2 cores."
	@$(BIN)/pytest

e2e: .venv/installed ## Run the emitted project among real servers and tools, which it installs: ONLY=cluster, SLICE=1 for what CI runs
	@echo "Running the end-to-end tests one after the other$(if $(SLICE)$(ONLY),.,: about 28 minutes on 2 cores from an empty clone.)"
	@$(BIN)/pytest --numprocesses 0 -p no:cacheprovider -rA --show-capture=no e2e$(if $(ONLY),/$(ONLY)) $(if $(SLICE),-m slice)

docs: .venv-docs/installed ## Build the site of docs/ into site/, strictly, and look at every page in Chromium, which it installs
	@.venv-docs/bin/python -m tools.pages.build $(if $(ONLY_BUILD),--only-build)

docs-shots: .venv-docs/installed ## Make the pictures of the docs anew, from real Airflow and real terminals: about 10 minutes, ONLY=doctor
	@.venv-docs/bin/python -m tools.pages.shots $(ONLY)

cluster: .venv/installed ## Run the cluster, its load and growth, and write docs/reference/cluster.md anew: about 12 minutes on a quiet machine
	@XCOM_TEMPLATE_RECORD=1 $(BIN)/pytest --numprocesses 0 -p no:cacheprovider -rA --show-capture=no e2e/cluster

fire: .venv/installed ## Hurt real runs with both backends, and write docs/reference/fire.md anew: up to 12 minutes
	@FIRE_RECORD=1 $(BIN)/pytest --numprocesses 0 -p no:cacheprovider -rA --show-capture=no e2e/fire/test_fire.py

fuzz: .venv/installed ## Try random bytes on the codecs and parsers of the custom class, for SECONDS each (45), and keep what is interesting
	@FUZZ_SECONDS=$(or $(SECONDS),45) FUZZ_KEEP=1 $(BIN)/pytest --numprocesses 0 -p no:cacheprovider -rA e2e/fuzz

lint: .venv/installed ## Check format, style and types
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/yamllint --strict .

golden: .venv/installed ## Write tests/golden anew, after a change of the template
	@$(BIN)/pytest tests/bakes/test_golden.py --update-golden

readme: .venv/installed ## Write the table of questions in README.md anew
	@$(BIN)/python -m tools.pages.readme

troubleshooting: .venv/installed ## Write docs/reference/troubleshooting.md anew, from the checks of the doctor
	@$(BIN)/python -m tools.pages.troubleshooting

reference: .venv/installed ## Write the pages of docs/reference/ that are made from the template anew, and the measured tables of docs/how-to/
	@$(BIN)/python -m tools.pages.reference

least-privilege: .venv/installed ## Take each right away and write docs/reference/least-privilege.md from what fails (3 minutes)
	@$(BIN)/python -m tools.pages.least_privilege

lock: .venv/installed ## Make the lock files in requirements/ anew
	@$(BIN)/python -m tools.lock

bench: .venv/installed ## Measure the custom class beside the provider's backend, and write docs/reference/benchmarks.md anew: ROUNDS=5, ONLY=frame
	@$(BIN)/python benchmarks/xcom_backends.py $(if $(ROUNDS),--rounds=$(ROUNDS)) $(if $(ONLY),--only=$(ONLY))
	@$(BIN)/python -m tools.pages.reference

bench-compression: .venv/installed ## Count the compressed XComs that get lost, and write docs/reference/compression-measured.md anew
	@$(BIN)/python benchmarks/compression_proof.py

versions: .venv/installed ## Tell which pins moved in the package index: WRITE=1 moves them and locks anew
	@$(BIN)/python -m tools.versions $(if $(WRITE),--write)

tested-with: .venv/installed ## Test projects on every Airflow, and write the table of what was tested into README.md
	@XCOM_TEMPLATE_RECORD=1 $(BIN)/pytest tests/projects/test_projects.py tests/projects/test_airflow_versions.py
	@$(BIN)/python -m tools.pages.readme
	@$(BIN)/python -m tools.pages.reference

upgrade: .venv/installed ## Walk from Airflow 2.11 to 3.3 with real XComs (about a minute once installed; needs PostgreSQL)
	@$(BIN)/python e2e/upgrade/walk.py
	@$(BIN)/python e2e/upgrade/walk.py --custom

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
