# For those who have `just` in their fingers; everything is in ./dev.

set positional-arguments

# List the commands
[private]
default:
    @just --list

# Ask the assistant a question: real agent in a container, a model that needs no key
demo *message:
    @./dev demo "$@"

# Everything a change must pass, or the tests that match
test *filter:
    @./dev test "$@"

# The measured promises, or only those about components
bench *what:
    @./dev bench "$@"

# Plugins in every language, built and tested
examples:
    @./dev examples

# The pages that are made of the code
docs:
    @./dev docs

# The program as it is shipped
build:
    @./dev build

# Formatting, clippy, licences and advisories
lint:
    @./dev lint

# The agent's container image
image:
    @./dev image

# A Docker Engine with gVisor; prints its DOCKER_HOST
engine *command:
    @./dev engine "$@"
