#!/usr/bin/env bash
# Switches each mutant of list.toml on, and runs the tests until one is red.
#
#   tests/mutants/run.sh                every mutant
#   tests/mutants/run.sh redaction job  those of two rooms
#   tests/mutants/run.sh --changed REV  those of the rooms that differ from REV
#   tests/mutants/run.sh --record       writes killers.tsv anew, so that the next run begins with the test that was red
#   tests/mutants/run.sh --quick        only the tests that killers.tsv names; what they do not kill counts as survived
#   tests/mutants/run.sh --only a,b     these mutants
#   tests/mutants/run.sh --check        only looks whether every pattern still matches
#
# Exit status 0: all were killed, or are explained as equivalent.
set -euo pipefail
cd "$(dirname "$0")/../.."
exec python3 tests/mutants/run.py "$@"
