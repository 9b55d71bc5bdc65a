"""Code of this project that Dags and Airflow import, as ``include.…``."""
