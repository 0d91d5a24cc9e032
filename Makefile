# `make demo` trains the tiny model through both stages and reports. `make test` checks everything.
# `make check` is the part of `make test` that takes about a minute.
.PHONY: demo test check setup
MODEL ?= qwen3_moe

demo:
	scripts/demo.sh $(MODEL)

test:
	scripts/test.sh

check:
	scripts/check.sh

setup:
	scripts/setup.sh
