"""`make demo`: a project, run on real Airflow with a real object store."""
