"""The rules of the house as functions: each takes the project's folder and returns its faults, one sentence each.

`test_architecture.py` holds the project to them, and each of them to a planted fault.
"""

from house.imports import core_is_light, extras_can_be_installed, imports_point_down, no_cycles
from house.plugins import no_plugin_names, plugins_are_values, registries_are_folders
from house.safety import no_code_from_data, no_machine_paths
from house.sizes import files_stay_small, names_say_something, nothing_is_unfinished
from house.words import catalogue_is_bilingual, catalogue_is_complete, docs_have_twins

RULES = (
    imports_point_down,
    no_cycles,
    core_is_light,
    extras_can_be_installed,
    no_plugin_names,
    plugins_are_values,
    registries_are_folders,
    files_stay_small,
    names_say_something,
    nothing_is_unfinished,
    no_code_from_data,
    no_machine_paths,
    catalogue_is_bilingual,
    catalogue_is_complete,
    docs_have_twins,
)
