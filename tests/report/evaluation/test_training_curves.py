from vae_jax.report.evaluation import training_curves


def test_quantities_that_are_absent_or_zero_have_no_curve():
    history = [{"step": 1, "epoch": 1, "split": "train", "loss": 3.0, "kl": 0.0}]
    assert [drawing.name for drawing in training_curves.draw_training_curves(history)] == [
        "curve_loss"
    ]
    assert training_curves.draw_training_curves([]) == []


def test_milestones_are_the_epochs_that_were_reached_and_the_last():
    history = [
        {"epoch": epoch, "split": split, "loss": float(epoch), "kl": 2.0, "mse": 0.1}
        for epoch in range(1, 121)
        for split in ("train", "val")
        if split == "train" or epoch % 10 == 0
    ]
    rows = training_curves.pick_milestones(history)
    assert [row["epoch"] for row in rows] == [1, 10, 50, 100, 120]
    assert rows[1] == {"epoch": 10, "loss": 10.0, "kl": 2.0, "val_loss": 10.0, "val_mse": 0.1}
    assert "val_loss" not in rows[0]
    assert training_curves.pick_milestones([]) == []


def test_alternative_text_contains_the_last_value_of_each_split():
    rows = [(1, "train", 5.0), (1, "val", 6.0), (2, "train", 3.0), (2, "val", 4.5)]
    history = [{"epoch": e, "split": s, "loss": value, "step": e} for e, s, value in rows]
    [drawing] = training_curves.draw_training_curves(history)
    assert "train ends at 3, val ends at 4.5" in drawing.alt
