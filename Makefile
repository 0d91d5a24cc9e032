# `make demo` trains the tiny model through both stages and reports. `make test` checks everything.
# `make check` is the part of `make test` that takes under a minute on two cores.
# `make smoke` trains two steps of stage 2, to see that everything runs.
.PHONY: demo smoke test check setup
MODEL ?= qwen3_moe

demo:
	scripts/demo.sh $(MODEL)

smoke:
	scripts/smoke.sh $(MODEL)

test:
	scripts/test.sh

check:
	scripts/check.sh

setup:
	scripts/setup.sh
