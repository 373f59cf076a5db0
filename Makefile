PYTHON ?= python3
RUN = @$(PYTHON) dev.py

.PHONY: demo test check fix bench lock install

demo:                 ## a set of videos made here, a study on it, and its report
	$(RUN) reelfit demo --out demo
install: ; @$(PYTHON) dev.py install
check:                ## style, types, layers, security
	$(RUN) ruff format --check --quiet .
	$(RUN) ruff check --quiet .
	$(RUN) mypy
	$(RUN) lint-imports
	$(RUN) bandit -q -r src -c pyproject.toml
test: check           ## the checks and every test
	$(RUN) pytest -n 2 --dist loadfile
fix:                  ## what the tools can mend by themselves
	$(RUN) ruff format --quiet .
	$(RUN) ruff check --fix --quiet .
bench:                ## every claim measured anew; results dated under benchmarks/results
	$(RUN) python benchmarks/demo.py
	$(RUN) python benchmarks/all_models.py
	$(RUN) python benchmarks/growth.py
	$(RUN) python benchmarks/clip_stage.py
	$(RUN) python benchmarks/release.py
	$(RUN) python benchmarks/allocator.py
	$(RUN) python benchmarks/prediction.py
	$(RUN) python benchmarks/augment.py
	$(RUN) python benchmarks/overhead.py
	$(RUN) python benchmarks/features.py
	$(RUN) python benchmarks/duplicates.py
	$(RUN) python benchmarks/originals.py
	$(RUN) python benchmarks/rivals.py
	$(RUN) python benchmarks/loading.py
	$(RUN) python benchmarks/decode_memory.py
	$(RUN) python benchmarks/damage.py
	$(RUN) python benchmarks/decoding.py
	$(RUN) python benchmarks/retrieval.py
	$(RUN) python benchmarks/gpu.py
	$(RUN) python benchmarks/fuzz.py
	$(RUN) python benchmarks/chaos.py
lock:                 ## pins anew (uv from the index); torch and its CUDA packages come by themselves
	uv pip compile pyproject.toml build.in --extra dev --python-version 3.11 --universal \
	  --generate-hashes -c constraints.txt --no-emit-package torch --no-annotate --no-header \
	  --no-emit-index-url -q -o requirements.all
	awk '/^[a-z]/ {keep = !/^(nvidia-|cuda-|triton)/} keep' requirements.all > requirements.lock
	rm requirements.all
