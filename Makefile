# Two commands matter: `make run` and `make test`. The scripts behind them are in .ci/.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

# Builds check SQL against the committed .sqlx, never against a database that happens to be configured.
export SQLX_OFFLINE ?= true

# 200 rounds of kill -9 are enough to meet every window of the write path many times over.
KILL_ROUNDS ?= 200
# Cases that schemathesis invents for an operation, in each of its phases.
CONTRACT_EXAMPLES ?= 200
# Further arguments: make load ARGS="--seconds 10", make test ARGS="-p gonggumoa-core", make bench ARGS="judge"
ARGS ?=

.PHONY: help run test nightly chaos contract openapi bench load load-cluster data sizing sqlx sqlx-check fmt lint ci

help: ## Shows this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{ printf "  make %-12s %s\n", $$1, $$2 }'

run: ## From a bare Debian machine to a serving, demo-filled server on http://127.0.0.1:8000
	@.ci/demo

test: ## Installs and starts what the tests need, and runs all of them
	@.ci/test $(ARGS)

nightly: ## The long crash tests: kill -9 under load, KILL_ROUNDS (200) times
	@KILL_ROUNDS=$(KILL_ROUNDS) .ci/test -p gonggumoa-tests --test it crash $(ARGS)

chaos: ## The long cluster tests: three Kafka brokers and three CQL nodes, killed in turn and at random under load
	@CHAOS=1 KILL_ROUNDS=$(KILL_ROUNDS) .ci/test -p gonggumoa-tests --test it $(ARGS) -- chaos:: --nocapture --test-threads=1

contract: ## The long contract test: every operation as every role, CONTRACT_EXAMPLES (200) cases a phase
	@CONTRACT_EXAMPLES=$(CONTRACT_EXAMPLES) .ci/test -p gonggumoa-tests --test it $(ARGS) -- contract:: --nocapture

openapi: ## Makes api/openapi.json, the snapshot of the API's description, anew
	@OPENAPI_WRITE=1 cargo test --locked -p gonggumoa-api --lib openapi::tests::the_snapshot_is_up_to_date

bench: ## All criterion benches, beside a throw-away PostgreSQL
	@THROWAWAY_SYNC=on .ci/with-postgres BENCH_DATABASE_URL cargo bench --locked -p gonggumoa-benches $(ARGS)

load: ## The load runs: the release binary beside a bare axum server
	cargo build --release --locked --bin gonggumoa --bin load --bin bare_axum --bin bare_select
	"$${CARGO_TARGET_DIR:-target}/release/load" $(ARGS)

load-cluster: ## The load run of a cluster, beside throw-away Kafka, Cassandra, Redis and PostgreSQL
	cargo build --release --locked --bin gonggumoa --bin load --bin bare_axum
	@.ci/with-engines kafka cassandra redis -- env THROWAWAY_SYNC=on .ci/with-postgres LOAD_DATABASE_URL \
	  "$${CARGO_TARGET_DIR:-target}/release/load" --only cluster $(ARGS)

data: ## Makes the crawler patterns anew from their package
	core/src/bots/update.sh

sizing: ## Computes the README's table of sizes anew from its inputs
	@.ci/sizing

sqlx: ## Makes .sqlx, the committed descriptions of all queries, anew
	@.ci/sqlx write

sqlx-check: ## Fails if .sqlx is not up to date
	@.ci/sqlx check

fmt: ## Formats the code
	cargo fmt --all

lint: ## Formatting, clippy and documentation; warnings are errors
	cargo fmt --all -- --check
	cargo clippy --locked --workspace --all-targets --all-features -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --document-private-items

ci: ## Everything that a change must pass
	@.ci/run
