"""No secret of a connection in any log, of tasks or of Airflow's processes, nor in what the UI shows of a template."""

from __future__ import annotations

import json

from e2e.fire.site import SECRET, Run, Site

WRONG = "a-wrong-secret-0f8d2a61"


def test_no_secret_is_told(site: Site) -> None:
    right, wrong, dead = (
        Run(site, "custom", f"secrets-{name}", "fire_template") for name in ("right", "wrong", "dead")
    )
    try:
        wrong.set(AIRFLOW_CONN_FIRE=wrong.connection(wrong.proxy.port, password=WRONG, aws_session_token=WRONG))
        dead.proxy.stop()
        for run in (right, wrong, dead):
            run.trigger()
        for run in (right, wrong, dead):
            run.finish()
        assert right.states() == {"push": "success", "show": "success"}
        shown = json.dumps(site.get(f"{right.path}/taskInstances/show")["rendered_fields"])
        assert right.run_id in shown
        assert wrong.states()["push"] == dead.states()["push"] == "failed"
        logs = [*(site.folder / "home" / "logs").rglob("*.log"), *site.folder.glob("*.log")]
        texts = {str(file): file.read_text(errors="replace") for file in logs} | {"rendered": shown}
        assert any("push" in text for text in texts.values())
        assert [name for name, text in texts.items() if SECRET in text or WRONG in text] == []
    finally:
        for run in (right, wrong, dead):
            run.close()
