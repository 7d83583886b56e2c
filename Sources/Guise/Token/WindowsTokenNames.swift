public import AccessControl

// Whoever types the Windows name of a token function is told the Swift one. The other names are in WindowsNames.swift.

/// `ImpersonateLoggedOnUser` is ``TokenHandle/impersonate()`` here; of a logon also ``Logon/impersonate()``.
@available(*, unavailable, renamed: "TokenHandle.impersonate(self:)")
public func ImpersonateLoggedOnUser(_ token: TokenHandle) throws(GuiseError) { try token.impersonate() }

/// `ImpersonateSelf` is ``impersonateSelf(at:)`` here.
@available(*, unavailable, renamed: "impersonateSelf(at:)")
public func ImpersonateSelf(_ level: ImpersonationLevel) throws(GuiseError) { try impersonateSelf(at: level) }

/// `ImpersonateAnonymousToken` is ``impersonateAnonymous()`` here.
@available(
    *, unavailable, message: "impersonateAnonymous() is for the calling thread; for others: setThreadToken"
)
public func ImpersonateAnonymousToken(_ thread: Int32) throws(GuiseError) { try impersonateAnonymous() }

/// `SetThreadToken` is ``setThreadToken(_:thread:process:)`` here.
@available(
    *, unavailable,
    message: "setThreadToken(_:thread:process:), with the token first and the thread by its id"
)
public func SetThreadToken(_ thread: Int32?, _ token: TokenHandle?) throws(GuiseError) {
    try setThreadToken(token, thread: thread)
}

/// `OpenProcessToken` is ``TokenHandle/ofProcess(_:access:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "TokenHandle.ofProcess(_:access:)")
public func OpenProcessToken(
    _ process: Int32, _ access: AccessMask<TokenKind>
) throws(GuiseError) -> TokenHandle { try TokenHandle.ofProcess(process, access: access) }

/// `OpenThreadToken` is ``TokenHandle/ofThread(_:process:access:asSelf:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "TokenHandle.ofThread(_:access:asSelf:)")
public func OpenThreadToken(
    _ thread: Int32, _ access: AccessMask<TokenKind>, _ asSelf: Bool
) throws(GuiseError) -> TokenHandle { try TokenHandle.ofThread(thread, access: access, asSelf: asSelf) }

/// `DuplicateToken` is ``TokenHandle/duplicate(at:access:isEffectiveOnly:)`` here.
@available(*, unavailable, renamed: "TokenHandle.duplicate(self:at:)")
public func DuplicateToken(
    _ token: TokenHandle, _ level: ImpersonationLevel
) throws(GuiseError) -> TokenHandle { try token.duplicate(at: level) }

/// `DuplicateTokenEx` is ``TokenHandle/duplicate(at:access:isEffectiveOnly:)`` here, and for primary tokens
/// ``TokenHandle/duplicateAsPrimary(access:)``.
@available(
    *, unavailable, message: "duplicate(at:access:), and for a primary token duplicateAsPrimary(access:)"
)
public func DuplicateTokenEx(
    _ token: TokenHandle, _ access: AccessMask<TokenKind>, _ level: ImpersonationLevel
) throws(GuiseError) -> TokenHandle { try token.duplicate(at: level, access: access) }

/// `CreateRestrictedToken` is ``TokenHandle/restricted(denyOnly:removing:restrictingTo:_:)`` here.
@available(*, unavailable, message: "token.restricted(denyOnly:removing:restrictingTo:_:)")
public func CreateRestrictedToken(
    _ token: TokenHandle, _ flags: TokenHandle.Restriction
) throws(GuiseError) -> TokenHandle { try token.restricted(flags) }

/// `AdjustTokenPrivileges` is ``TokenHandle/adjust(_:)`` here.
@available(*, unavailable, message: "token.adjust([.backup: .enabled]), token.disableAllPrivileges()")
public func AdjustTokenPrivileges(
    _ token: TokenHandle, _ privileges: [Privilege: PrivilegeState]
) throws(GuiseError) { try token.adjust(privileges) }

/// `AdjustTokenGroups` is ``TokenHandle/adjust(groups:)`` here.
@available(*, unavailable, message: "token.adjust(groups:), token.resetGroups()")
public func AdjustTokenGroups(_ token: TokenHandle, _ groups: [SID: Bool]) throws(GuiseError) {
    try token.adjust(groups: groups)
}

/// `GetTokenInformation` is ``TokenHandle/information()`` here.
@available(*, unavailable, renamed: "TokenHandle.information(self:)")
public func GetTokenInformation(_ token: TokenHandle) throws(GuiseError) -> TokenInformation {
    try token.information()
}

/// `SetTokenInformation` is a method for each class here.
@available(
    *, unavailable, message: "token.setOwner(_:), setPrimaryGroup(_:), setDefaultDACL(_:), setIntegrity(_:)"
)
public func SetTokenInformation(_ token: TokenHandle) {}

/// `PrivilegeCheck` is ``TokenHandle/holds(_:)`` here.
@available(
    *, unavailable, message: "token.holds(_:), token.holdsAny(of:); of the calling thread: EffectiveToken"
)
public func PrivilegeCheck(_ token: TokenHandle, _ privilege: Privilege) throws(GuiseError) -> Bool {
    try token.holds(privilege)
}

/// `CheckTokenMembership` is ``TokenHandle/isMember(of:)`` here.
@available(
    *, unavailable, message: "token.isMember(of:); of the calling thread: EffectiveToken.isMember(of:)"
)
public func CheckTokenMembership(_ token: TokenHandle?, _ sid: SID) throws(GuiseError) -> Bool {
    try EffectiveToken.isMember(of: sid)
}

/// `AccessCheckAndAuditAlarm` is ``EffectiveToken/checkAccess(to:_:intent:principalSelf:audit:)`` here.
@available(*, unavailable, message: "EffectiveToken.checkAccess(to:_:audit: AccessAudit(object:))")
public func AccessCheckAndAuditAlarm() {}

/// `LookupAccountName` is ``AccountNames/sid(named:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "AccountNames.sid(named:)")
public func LookupAccountName(_ name: String) throws(GuiseError) -> SID? { try AccountNames.sid(named: name) }

/// `LookupAccountSid` is ``AccountNames/name(of:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "AccountNames.name(of:)")
public func LookupAccountSid(_ sid: SID) throws(GuiseError) -> String? { try AccountNames.name(of: sid) }

/// `RpcImpersonateClient` is a matter of what carries the calls, and none of this module's.
@available(
    *, unavailable,
    message: "this module carries no remote calls; connections, pipes and tokens have impersonate()"
)
public func RpcImpersonateClient() {}

/// `RpcRevertToSelf` is ``revertToSelf()`` here.
@available(*, unavailable, renamed: "revertToSelf()")
public func RpcRevertToSelf() { revertToSelf() }

/// `RpcRevertToSelfEx` is ``revertToSelf()`` here.
@available(*, unavailable, message: "revertToSelf() ends whatever the calling thread acts under")
public func RpcRevertToSelfEx() {}

/// `ImpersonateSecurityContext` is a matter of security packages, and none of this module's.
@available(
    *, unavailable,
    message: "this module has no security packages; connections, pipes and tokens have impersonate()"
)
public func ImpersonateSecurityContext() {}

/// `RevertSecurityContext` is ``revertToSelf()`` here.
@available(*, unavailable, renamed: "revertToSelf()")
public func RevertSecurityContext() { revertToSelf() }
