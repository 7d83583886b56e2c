// Whoever types the Windows name is told the Swift one.

/// `ImpersonateNamedPipeClient` is ``impersonate(_:)`` here.
@available(*, unavailable, renamed: "impersonate(_:)")
public func ImpersonateNamedPipeClient(_ connection: Connection) throws(GuiseError) {
    try impersonate(connection)
}

/// `RevertToSelf` is ``revertToSelf()`` here.
@available(*, unavailable, renamed: "revertToSelf()")
public func RevertToSelf() { revertToSelf() }
