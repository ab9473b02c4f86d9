from vae_jax.data.joined_groups import join_groups


def test_sets_that_share_a_group_become_one_with_the_first_name():
    names = join_groups([["c", "b"], ["d"], ["b", "a"], ["e", "e"]])
    assert names == {"a": "a", "b": "a", "c": "a", "d": "d", "e": "e"}


def test_no_set_gives_no_group():
    assert join_groups([]) == {}
