from vae_jax.audit.shared_names import find_keys


def test_the_patient_at_the_beginning_of_a_name_is_found():
    files = [f"train/A/person{i}_virus_{j}.jpeg" for i in range(10) for j in range(3)]
    assert find_keys(files) == [f"person{i}" for i in range(10) for _ in range(3)]


def test_a_part_that_is_the_same_in_most_names_is_passed_over():
    files = [f"NORMAL2-IM-{i:04}-{j:04}.jpeg" for i in range(10) for j in range(2)]
    assert find_keys(files) == [f"NORMAL2-IM-{i:04}" for i in range(10) for _ in range(2)]


def test_few_cameras_are_no_patients():
    assert not any(find_keys([f"cam{i}_{j:03}.png" for i in range(3) for j in range(30)]))


def test_a_running_number_is_no_key():
    assert not any(find_keys([f"{i:03}.png" for i in range(30)]))
    assert not any(find_keys([f"good_{i:03}.png" for i in range(30)]))
