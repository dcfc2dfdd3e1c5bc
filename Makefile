# Shorthands for developers; users need none of this (README).
BIN := .venv/bin
LOCK := $(BIN)/uv pip compile -q --universal --generate-hashes --no-emit-index-url --custom-compile-command "make lock"

# The archive of a tagged version and its checksum, in dist/.
release:
	$(BIN)/python -m tools.release

.PHONY: release check lint format types lock vendor words bench test hours security faults

check: lint types test

lint:
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/djlint templates --lint --quiet
	$(BIN)/python tools/catalogue.py check

format:
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

types:
	$(BIN)/mypy

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

# The whole matrix of requests, bandit, pip-audit, wapiti and sqlmap against a sample school; the counts go into docs/security.md.
security:
	$(BIN)/python -m tools.security_run

# Every row of tests/faults with letters counted at the receiver, and the tests of crashes, disk, clock and door; docs/reliability.md is written anew.
faults:
	$(BIN)/python -m tools.faults_run

bench:
	$(BIN)/python -m benchmarks

# The quick tests as if it were four in the morning, just before midnight, the end of the year and of the school year.
hours:
	for moment in "04:00" "23:58" "Dec 31 22:30" "Mar 31 23:50" "Apr 1 00:05" "Feb 28 12:00"; do \
	  now=$$(date +%s); then=$$(TZ=Asia/Tokyo date -d "$$moment" +%s); \
	  [ $$then -gt $$now ] || case "$$moment" in *" "*) then=$$(TZ=Asia/Tokyo date -d "$$moment next year" +%s);; *) then=$$((then + 86400));; esac; \
	  echo "== $$moment"; KAIRAN_TEST_OFFSET_S=$$((then - now)) $(BIN)/python -m pytest -n 2 --dist loadgroup tests/core tests/mail tests/web || exit 1; \
	done
