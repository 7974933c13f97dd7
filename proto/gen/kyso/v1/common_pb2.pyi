from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Optional as _Optional

DESCRIPTOR: _descriptor.FileDescriptor

class DigestAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DIGEST_ALGORITHM_UNSPECIFIED: _ClassVar[DigestAlgorithm]
    DIGEST_ALGORITHM_SHA256: _ClassVar[DigestAlgorithm]
    DIGEST_ALGORITHM_SHA384: _ClassVar[DigestAlgorithm]
    DIGEST_ALGORITHM_SHA512: _ClassVar[DigestAlgorithm]

class KeyAlgorithm(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KEY_ALGORITHM_UNSPECIFIED: _ClassVar[KeyAlgorithm]
    KEY_ALGORITHM_RSA_2048: _ClassVar[KeyAlgorithm]
    KEY_ALGORITHM_RSA_3072: _ClassVar[KeyAlgorithm]
    KEY_ALGORITHM_RSA_4096: _ClassVar[KeyAlgorithm]
    KEY_ALGORITHM_ECDSA_P256: _ClassVar[KeyAlgorithm]
    KEY_ALGORITHM_ECDSA_P384: _ClassVar[KeyAlgorithm]

class SignatureScheme(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SIGNATURE_SCHEME_UNSPECIFIED: _ClassVar[SignatureScheme]
    SIGNATURE_SCHEME_RSA_PKCS1V15: _ClassVar[SignatureScheme]
    SIGNATURE_SCHEME_RSA_PSS: _ClassVar[SignatureScheme]
    SIGNATURE_SCHEME_ECDSA: _ClassVar[SignatureScheme]

class CredentialStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CREDENTIAL_STATUS_UNSPECIFIED: _ClassVar[CredentialStatus]
    CREDENTIAL_STATUS_PENDING: _ClassVar[CredentialStatus]
    CREDENTIAL_STATUS_ACTIVE: _ClassVar[CredentialStatus]
    CREDENTIAL_STATUS_HELD: _ClassVar[CredentialStatus]
    CREDENTIAL_STATUS_REVOKED: _ClassVar[CredentialStatus]

class Activation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    ACTIVATION_UNSPECIFIED: _ClassVar[Activation]
    ACTIVATION_CLIENT: _ClassVar[Activation]

class SecrecyLabel(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    SECRECY_LABEL_UNSPECIFIED: _ClassVar[SecrecyLabel]
    SECRECY_LABEL_NONE: _ClassVar[SecrecyLabel]
    SECRECY_LABEL_MAT: _ClassVar[SecrecyLabel]
    SECRECY_LABEL_TOI_MAT: _ClassVar[SecrecyLabel]
    SECRECY_LABEL_TUYET_MAT: _ClassVar[SecrecyLabel]
DIGEST_ALGORITHM_UNSPECIFIED: DigestAlgorithm
DIGEST_ALGORITHM_SHA256: DigestAlgorithm
DIGEST_ALGORITHM_SHA384: DigestAlgorithm
DIGEST_ALGORITHM_SHA512: DigestAlgorithm
KEY_ALGORITHM_UNSPECIFIED: KeyAlgorithm
KEY_ALGORITHM_RSA_2048: KeyAlgorithm
KEY_ALGORITHM_RSA_3072: KeyAlgorithm
KEY_ALGORITHM_RSA_4096: KeyAlgorithm
KEY_ALGORITHM_ECDSA_P256: KeyAlgorithm
KEY_ALGORITHM_ECDSA_P384: KeyAlgorithm
SIGNATURE_SCHEME_UNSPECIFIED: SignatureScheme
SIGNATURE_SCHEME_RSA_PKCS1V15: SignatureScheme
SIGNATURE_SCHEME_RSA_PSS: SignatureScheme
SIGNATURE_SCHEME_ECDSA: SignatureScheme
CREDENTIAL_STATUS_UNSPECIFIED: CredentialStatus
CREDENTIAL_STATUS_PENDING: CredentialStatus
CREDENTIAL_STATUS_ACTIVE: CredentialStatus
CREDENTIAL_STATUS_HELD: CredentialStatus
CREDENTIAL_STATUS_REVOKED: CredentialStatus
ACTIVATION_UNSPECIFIED: Activation
ACTIVATION_CLIENT: Activation
SECRECY_LABEL_UNSPECIFIED: SecrecyLabel
SECRECY_LABEL_NONE: SecrecyLabel
SECRECY_LABEL_MAT: SecrecyLabel
SECRECY_LABEL_TOI_MAT: SecrecyLabel
SECRECY_LABEL_TUYET_MAT: SecrecyLabel

class ItemError(_message.Message):
    __slots__ = ("code", "message", "retryable")
    CODE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    code: str
    message: str
    retryable: bool
    def __init__(self, code: _Optional[str] = ..., message: _Optional[str] = ..., retryable: _Optional[bool] = ...) -> None: ...
