"""Makes users of FAB's auth manager: an admin, one who reads one Dag, and two who may read no XCom."""

from __future__ import annotations

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder

PASSWORD = "correct horse battery staple"  # noqa: S105 - of this test
ROLES = {
    "reader": ["DAG:explorer_values", "XComs", "Website"],
    "auditor": ["DAG:explorer_values", "DAG:xcom_cleanup", "XComs", "Website"],
    "no_xcoms": ["DAGs", "Website"],
    "nobody": ["Website"],
}

with get_application_builder() as builder:
    manager = builder.sm
    for name, resources in ROLES.items():
        role = manager.add_role(name)
        for resource in resources:
            manager.add_permission_to_role(role, manager.create_permission("can_read", resource))
    for name in ("admin", *ROLES):
        role = manager.find_role("Admin" if name == "admin" else name)
        added = manager.add_user(name, name, name, f"{name}@example.org", role, password=PASSWORD)
        assert added, name
