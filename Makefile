# Short recipes; what they do in detail stands in scripts/.
.DEFAULT_GOAL := help
.PHONY: help demo test check bench serve install guest-toolchain clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' $(MAKEFILE_LIST) | while IFS="$$(printf '\t')" read -r name does; do printf '  make %-16s %s\n' "$$name" "$$does"; done

demo: ## build everything, run a pipeline on real data, show what happened
	@scripts/demo.sh

test: ## everything that the continuous integration runs
	@scripts/test.sh

check: ## formatting and lints
	@scripts/check.sh

bench: ## measure what a sandboxed task costs
	@scripts/bench.sh

serve: ## run the server from this clone
	cargo run --release --locked -p tarefa -- serve

install: ## put `tarefa` on the PATH, in cargo's folder of programs
	@scripts/install.sh

guest-toolchain: ## make sure that Rust can build for WebAssembly
	@scripts/guest-toolchain.sh

clean: ## remove all that was built
	cargo clean
