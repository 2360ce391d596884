# demo and test are all that a newcomer needs; each makes .venv when it has to.
# make PYTHON=python3.12 demo     with another Python (3.11 or newer)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

MINUTES := 10

.PHONY: help demo test test-slow test-toy test-bounds check docs wheel-check vectors bench fuzz simd-arm simd-vnni \
  conform-arches conform-here break-conformance clean
.DELETE_ON_ERROR:

help:
	@echo "make demo       encode and decode a photograph, write out/demo.png"
	@echo "make test       the tests (installs torch, once)"
	@echo "make test-slow  the tests that take minutes"
	@echo "make test-toy   the trainer on sources whose optima are known (minutes)"
	@echo "make test-bounds  tests of kernels and coder, every index of a compiled loop checked"
	@echo "make fuzz MINUTES=n  mutated streams, models, payloads, checkpoints; findings in out/fuzz"
	@echo "make check      ruff, mypy, tests"
	@echo "make docs       the documentation, into out/site"
	@echo "make wheel-check  a clean environment with the wheel alone, used in every way, offline"
	@echo "make vectors    make the conformance vectors anew"
	@echo "make bench      speed beside torch, onnxruntime, constriction, CompressAI and others"
	@echo "make simd-arm   the Arm kernels on an emulated processor (unpacks qemu, 10 minutes)"
	@echo "make simd-vnni  the VNNI kernels on emulated processors (unpacks bochs, a minute)"
	@echo "make conform-arches  the vectors on six emulated architectures (unpacks qemu, minutes)"
	@echo "make conform-here  the vectors with every instruction set and the lowest and newest numba"
	@echo "make break-conformance  break a rule at a time and see the vectors go red (5 minutes)"
	@echo "make clean      remove what the above made, .venv included"

demo: $(VENV)/.runtime
	@$(BIN)/python tools/demo.py

test: $(VENV)/.dev
	$(BIN)/python -m pytest

test-slow: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow

test-toy: $(VENV)/.dev
	$(BIN)/python -m pytest -m slow tests/test_toy.py

# In a cache of its own: compiled code does not say whether it checks.
BOUNDED := backends latents robustness codec strips context limits detection tiles region chunks \
  front_extents
test-bounds: $(VENV)/.dev
	NUMBA_BOUNDSCHECK=1 NUMBA_CACHE_DIR=out/bounds-cache \
	  $(BIN)/python -m pytest $(BOUNDED:%=tests/test_%.py) tests/rangecoder \
	  --deselect tests/rangecoder/test_rangecoder_compiled.py  # counts compilations

fuzz: $(VENV)/.dev
	$(BIN)/python tools/fuzz.py --minutes $(MINUTES)

check: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/python -m pytest

docs: $(VENV)/.dev
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

wheel-check: $(VENV)/.dev
	$(BIN)/python tools/wheel_check.py

vectors: $(VENV)/.dev
	$(BIN)/python tools/make_vectors.py

bench: $(VENV)/.bench
	$(BIN)/intnet bench kernels
	$(BIN)/intnet bench coder
	$(BIN)/intnet bench codec

simd-arm simd-vnni: simd-%: $(VENV)/.runtime
	$(BIN)/python tools/emulate_simd.py $*

conform-arches: $(VENV)/.runtime
	$(BIN)/python tools/conform_arches.py

conform-here: $(VENV)/.runtime
	$(BIN)/python tools/conform_here.py

break-conformance: $(VENV)/.runtime
	$(BIN)/python tools/break_conformance.py

clean:
	rm -rf $(VENV) out build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find intnet rangecoder tests tools -name __pycache__ -type d -prune -exec rm -rf {} +

# Stamps: a second call installs nothing, a changed pyproject.toml does.
$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "intnet needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) -V 2>&1)." \
	    "Try: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/.runtime: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --quiet -e .
	@touch $@

$(VENV)/.dev: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --quiet -e '.[dev]'
	@touch $@ $(VENV)/.runtime

# CompressAI asks for numpy 1 and runs with 2.
$(VENV)/.bench: pyproject.toml | $(VENV)/.created
	$(BIN)/python -m pip install --quiet -e '.[bench]'
	$(BIN)/python -m pip install --quiet --no-deps compressai==1.2.8
	@touch $@ $(VENV)/.runtime
