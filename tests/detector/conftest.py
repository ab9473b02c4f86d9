from tests.data.conftest import write_dicom

__all__ = ["write_dicom"]  # a fixture
