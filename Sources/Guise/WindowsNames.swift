// Whoever types the Windows name is told the Swift one.

/// `ImpersonateNamedPipeClient` is ``impersonate(_:)`` here.
@available(*, unavailable, renamed: "impersonate(_:)")
public func ImpersonateNamedPipeClient(_ connection: Connection) throws(GuiseError) {
    try impersonate(connection)
}

/// `RevertToSelf` is ``revertToSelf()`` here.
@available(*, unavailable, renamed: "revertToSelf()")
public func RevertToSelf() { revertToSelf() }

/// `LogonUser` is ``Logon/user(_:password:type:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "Logon.user(_:password:type:)")
public func LogonUser(_ name: String, _ password: String) throws(GuiseError) -> Logon {
    try Logon.user(name, password: password)
}

/// `ImpersonateLoggedOnUser` is ``Logon/impersonate()`` here.
@available(*, unavailable, renamed: "Logon.impersonate()")
public func ImpersonateLoggedOnUser(_ logon: Logon) throws(GuiseError) { try logon.impersonate() }
