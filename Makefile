# Two commands: `make demo` trains the tiny model through both stages and reports, `make test` checks everything.
.PHONY: demo test setup
MODEL ?= qwen3_moe

demo:
	scripts/demo.sh $(MODEL)

test:
	scripts/test.sh

setup:
	scripts/setup.sh
