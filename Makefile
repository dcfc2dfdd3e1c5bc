# Shorthands for developers; users need none of this (README).
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

.PHONY: check lint format types lock vendor words bench test

check: lint test

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python tools/catalogue.py check

format:
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types:
	$(BIN)/mypy core mail models.py

test:
	./kairan test

# Newest versions that pyproject.toml allows, with hashes and without the address of any index.
lock:
	$(LOCK) pyproject.toml -o requirements.txt
	$(LOCK) --group dev -c requirements.txt -o requirements-dev.txt

# The files of others in static/vendor and tests/vendor, fetched again and compared.
vendor:
	$(BIN)/python tools/vendor.py

# Sentences of the source into translations/ja; `tools/catalogue.py add FILE.json` fills them in.
words:
	$(BIN)/python tools/catalogue.py extract

bench:
	$(BIN)/python -m benchmarks
