public import AccessControl

/// Rights on a key (`REGSAM`): `.queryValue`, `.setValue` and their like; `.allRead` is KEY_READ.
public typealias RegistryAccess = AccessMask<RegistryKeyKind>

extension AccessMask where Kind == RegistryKeyKind {
    /// These rights without the bits by which a Windows program chooses the 32-bit or 64-bit view (`KEY_WOW64_32KEY`,
    /// `KEY_WOW64_64KEY`): there is one view here.
    public var withoutViews: Self { Self(rawValue: rawValue & ~0x300) }
}
