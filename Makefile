# Everything that a developer or an operator runs. `make` alone lists it.

# Defaults, to be given on the command line: make run PORT=8080 SAMPLE=medium
PORT ?= 3000
SAMPLE ?= small
PROFILE ?= dev
ROLE ?= staff
ID ?=
RUNS ?= 5
ARGS ?=
DATABASE ?=
MIGRATE ?= twice
ENV ?= dev
ARCH ?= arm64
PARAMETERS ?=
# DATABASE_URL, from the command line or the shell, replaces the local cluster of `make run`.

# Cargo gives build scripts a PROFILE of its own, and some compile again when they meet another.
unexport PROFILE

CARGO ?= cargo
RUST_VERSION := $(shell sed -n 's/^rust-version = "\(.*\)"/\1/p' Cargo.toml)

.DEFAULT_GOAL := help
.PHONY: help run token test check audit queries contract fuzz budget measure build deploy verify test-bare toolchain setup-run setup-test

help: ## List the targets and their variables
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "Variables, with their defaults:"
	@echo "  PORT=$(PORT)         run, token: where the API listens on 127.0.0.1"
	@echo "  SAMPLE=$(SAMPLE)      run: the sample clinic, small (seconds), medium (400 000 appointments) or none"
	@echo "  PROFILE=$(PROFILE)       run: how the functions are built, dev or release"
	@echo "  ROLE=$(ROLE)        token: doctor, patient or staff"
	@echo "  ID=                token: the row of the doctor or the patient whose token it is"
	@echo "  RUNS=$(RUNS)            measure: how often each case is measured; 1 for a quick look"
	@echo "  ARGS=              measure: further arguments, such as --set DATABASE_REUSE_WITHIN_MS=0 or --help"
	@echo "  DATABASE=          budget, deploy: which database, and further arguments of headroom check;"
	@echo "                     budget takes --max-connections 100 where nothing is said, deploy wants to be told"
	@echo "  ENV=$(ENV)            deploy: the stage in samconfig.toml"
	@echo "  MIGRATE=$(MIGRATE)      deploy: after leaves out the migrations before it, whose settings no longer work"
	@echo "  PARAMETERS=        deploy: further parameters of the template, NAME=VALUE NAME=VALUE"
	@echo "  ARCH=$(ARCH)         build, deploy: what the functions are built for, arm64 or x86_64"
	@echo "  DATABASE_URL=      run: a PostgreSQL to use instead of a local cluster under the target directory"
	@echo "  SETUP=on           run, test: off installs nothing, and says what is missing"
	@echo "  HEADROOM_POSTGRESQL=  run, test: a folder with initdb and postgres of the version to use"
	@echo "  CARGO_TARGET_DIR=  where everything is built; target/ by default"

run: toolchain setup-run ## Run the API on this machine: build, database, migrations, sample clinic, fleet
	@exec $(CARGO) run -p fleet --bin fleet -- --port '$(PORT)' --sample '$(SAMPLE)' --profile '$(PROFILE)'

token: toolchain ## Print a token of the API that runs: make -s token ROLE=doctor ID=...
	@$(CARGO) run --quiet -p fleet --bin fleet -- token --port '$(PORT)' --role '$(ROLE)' --id '$(ID)'

test: toolchain setup-test ## Run every check and test, as CI does
	@$(MAKE) --no-print-directory check
	$(CARGO) run --quiet -p fleet --bin queries -- --check
	$(CARGO) test -p shared --all-features
	$(CARGO) test -p fleet --lib --bins
	$(CARGO) test -p fleet --test api

check: toolchain ## Check formatting and lints
	@$(CARGO) fmt --version >/dev/null 2>&1 && $(CARGO) clippy --version >/dev/null 2>&1 || { \
	  echo "rustfmt and clippy are needed: rustup component add rustfmt clippy" >&2; exit 1; }
	$(CARGO) fmt --all --check
	$(CARGO) clippy --workspace --all-targets -- -D warnings
	$(CARGO) clippy -p shared --all-features --all-targets -- -D warnings

queries: toolchain ## Check the queries against a throwaway database and refresh .sqlx/
	@$(CARGO) build --quiet -p fleet --bin queries 2>/dev/null || \
	  echo "the queries as they are do not compile yet; they are checked by the tool as it was last built"
	@tool="$${CARGO_TARGET_DIR:-target}/debug/queries"; [ -x "$$tool" ] || { \
	  echo "it was never built: undo the change for a moment, run 'make queries', and try again" >&2; exit 1; }; \
	  "$$tool"

# With a client from PyPI, in an environment that is made under the target directory.
fuzz: toolchain ## Try 10 000 requests and more, as each role, that the API's description allows or does not; 10 minutes and more
	$(CARGO) test -p fleet --test api -- --ignored --nocapture fuzz::ten_thousand_cases_and_more_as_each_role

# Built for itself: in one build with the functions, they would get its features.
budget: toolchain ## Check that what the template deploys stays within what the database grants
	@$(CARGO) run --quiet -p shared --features operator --bin headroom -- check $(or $(DATABASE),--max-connections 100)

contract: toolchain ## Write what the code says about the API to shared/openapi.json
	@$(CARGO) run --quiet -p fleet --bin contract

# The fleet and its clients are built as what is deployed, too: they share the processors with it.
measure: toolchain ## Print how fast a misbehaving fleet answers, beside an orderly one
	@$(CARGO) run --release --quiet -p fleet --bin measure -- --runs '$(RUNS)' $(ARGS)

# What the deployment needs, each from PyPI into an environment of its own: checkov and the AWS CLI want other libraries
# than SAM does. The folder carries the version, so that another version is another folder.
TARGET := $(abspath $(or $(CARGO_TARGET_DIR),target))
SAM := $(TARGET)/tools/sam-1.170.0
CHECKOV := $(TARGET)/tools/checkov-3.3.30
AWS := $(TARGET)/tools/aws-1.46.3
$(SAM)/installed: PACKAGES := aws-sam-cli==1.170.0 cfn-lint==1.58.0 cargo-lambda==1.9.2 ziglang==0.17.1
$(CHECKOV)/installed: PACKAGES := checkov==3.3.30
$(AWS)/installed: PACKAGES := awscli==1.46.3

$(TARGET)/tools/%/installed:
	@rm -rf '$(@D)'; python3 -m venv '$(@D)' || { \
	  echo "python3 with venv is needed: sudo apt-get install python3-venv" >&2; exit 1; }
	'$(@D)/bin/pip' install --quiet $(PACKAGES)
	@touch '$@'

TYPOS := $(TARGET)/tools/typos-1.52.0
ZIZMOR := $(TARGET)/tools/zizmor-1.32.0
MACHETE := $(TARGET)/tools/cargo-machete-0.9.2
DENY := $(TARGET)/tools/cargo-deny-0.20.2
$(TYPOS)/installed: PACKAGES := typos==1.52.0
$(ZIZMOR)/installed: PACKAGES := zizmor==1.32.0
$(MACHETE)/installed: CRATE := cargo-machete@0.9.2
$(DENY)/installed: CRATE := cargo-deny@0.20.2

$(MACHETE)/installed $(DENY)/installed: | toolchain
	env -u CARGO_TARGET_DIR $(CARGO) install --quiet --locked --debug --root '$(@D)' $(CRATE)
	@touch '$@'

audit: $(TYPOS)/installed $(ZIZMOR)/installed $(MACHETE)/installed $(DENY)/installed ## Check spelling, workflows, unused dependencies, licences and advisories
	'$(TYPOS)/bin/typos'
	'$(ZIZMOR)/bin/zizmor' --offline --quiet --persona pedantic .github
	'$(MACHETE)/bin/cargo-machete' functions shared tests
	'$(DENY)/bin/cargo-deny' --locked check bans licenses sources
	'$(DENY)/bin/cargo-deny' --locked check advisories

# All functions in one build, whose dependencies are compiled once; sam build finds nothing left to compile. The package
# alone: in one build with the tools, the functions would get their features.
build: toolchain $(SAM)/installed ## Build every function for Lambda, and the template that sam deploys
	@! command -v rustup >/dev/null 2>&1 || rustup --quiet target add $(if $(filter arm64,$(ARCH)),aarch64,x86_64)-unknown-linux-gnu
	PATH='$(SAM)/bin':"$$PATH" $(CARGO) lambda build --release $(if $(filter arm64,$(ARCH)),--arm64) --package functions --bins
	PATH='$(SAM)/bin':"$$PATH" SAM_CLI_TELEMETRY=0 sam build --parameter-overrides Architecture=$(ARCH) \
	  --build-dir '$(TARGET)/sam/$(ARCH)'

deploy: toolchain $(SAM)/installed $(AWS)/installed ## Deploy a stage of samconfig.toml, once its budget holds
	@DATABASE='$(DATABASE)' MIGRATE='$(MIGRATE)' .ci/deploy '$(ENV)' '$(ARCH)' '$(TARGET)' '$(SAM)' '$(AWS)' $(foreach pair,$(PARAMETERS),'$(pair)')

verify: toolchain $(SAM)/installed $(CHECKOV)/installed ## Lint the template, build every function for Lambda, run them
	@.ci/verify '$(TARGET)' '$(SAM)' '$(CHECKOV)'

# Before anything is built: see .ci/setup.
setup-run setup-test: setup-%: toolchain
	@.ci/setup $* '$(TARGET)'

test-bare: ## Try both commands in a bare Debian 12; as root, 30 minutes and more
	@.ci/bare '$(TARGET)'

# One clear line instead of pages of compiler errors.
toolchain:
	@command -v $(CARGO) >/dev/null 2>&1 || { \
	  echo "Headroom needs Rust $(RUST_VERSION) or newer, and there is no cargo here: install it from https://rustup.rs" >&2; exit 1; }
	@command -v cc >/dev/null 2>&1 || { \
	  echo "Rust needs a C compiler to link with, and there is no cc here: sudo apt-get install build-essential" >&2; exit 1; }
	@version=$$(rustc --version 2>/dev/null | cut -d' ' -f2 | cut -d- -f1); \
	oldest=$$(printf '%s\n%s\n' "$(RUST_VERSION)" "$$version" | sort -V | head -n 1); \
	[ "$$oldest" = "$(RUST_VERSION)" ] || { \
	  echo "Headroom needs Rust $(RUST_VERSION) or newer, and this is $${version:-unknown}: rustup update stable" >&2; exit 1; }
