// Whoever types the Windows name is told the Swift one.

/// `ImpersonateNamedPipeClient` is ``impersonate(_:)`` here.
@available(*, unavailable, renamed: "impersonate(_:)")
public func ImpersonateNamedPipeClient(_ connection: Connection) throws(GuiseError) {
    try impersonate(connection)
}

/// `CreateNamedPipe` is ``NamedPipe/Server`` here.
@available(*, unavailable, renamed: "NamedPipe.Server.init(name:)")
public func CreateNamedPipe(_ name: String) throws(GuiseError) -> NamedPipe.Server {
    try NamedPipe.Server(name: name)
}

/// `ConnectNamedPipe` is ``NamedPipe/Server/accept()`` here.
@available(*, unavailable, renamed: "NamedPipe.Server.accept(self:)")
public func ConnectNamedPipe(_ server: NamedPipe.Server) throws(GuiseError) -> Connection {
    try server.accept()
}

/// `DisconnectNamedPipe` is ``Connection/disconnect()`` here.
@available(*, unavailable, renamed: "Connection.disconnect(self:)")
public func DisconnectNamedPipe(_ connection: Connection) { connection.disconnect() }

/// `WaitNamedPipe` is the timeout of ``NamedPipe/connect(to:access:quality:timeout:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "NamedPipe.connect(to:timeout:)")
public func WaitNamedPipe(_ name: String, _ timeout: Duration) throws(GuiseError) -> Connection {
    try NamedPipe.connect(to: name, timeout: timeout)
}

/// `GetNamedPipeClientProcessId` is ``Connection/peer`` here.
@available(*, unavailable, renamed: "getter:Connection.peer(self:)")
public func GetNamedPipeClientProcessId(_ connection: Connection) -> Connection.Peer { connection.peer }

/// `GetNamedPipeServerProcessId` is ``Connection/peer`` here.
@available(*, unavailable, renamed: "getter:Connection.peer(self:)")
public func GetNamedPipeServerProcessId(_ connection: Connection) -> Connection.Peer { connection.peer }

/// `RevertToSelf` is ``revertToSelf()`` here.
@available(*, unavailable, renamed: "revertToSelf()")
public func RevertToSelf() { revertToSelf() }

/// `LogonUser` is ``Logon/user(_:password:type:runtimeDirectory:)`` here.
@available(*, unavailable, renamed: "Logon.user(_:password:type:)")
public func LogonUser(_ name: String, _ password: String) throws(GuiseError) -> Logon {
    try Logon.user(name, password: password)
}

/// `AcceptSecurityContext` is ``SecurityPackage/accept()`` here.
@available(*, unavailable, renamed: "SecurityPackage.accept(self:)")
public func AcceptSecurityContext(_ package: any SecurityPackage) throws(GuiseError) -> any SecurityExchange {
    try package.accept()
}

/// `InitializeSecurityContext` is ``SecurityPackage/initiate(to:)`` here.
@available(*, unavailable, renamed: "SecurityPackage.initiate(self:to:)")
public func InitializeSecurityContext(
    _ package: any SecurityPackage, _ target: String
) throws(GuiseError) -> any SecurityExchange { try package.initiate(to: target) }

/// `ImpersonateSecurityContext` is ``SecurityContext/impersonate(atMost:)`` here.
@available(*, unavailable, renamed: "SecurityContext.impersonate(self:)")
public func ImpersonateSecurityContext(_ context: SecurityContext) throws(GuiseError) {
    try context.impersonate()
}

/// `RevertSecurityContext` is ``SecurityContext/revert()`` here.
@available(*, unavailable, renamed: "SecurityContext.revert(self:)")
public func RevertSecurityContext(_ context: SecurityContext) { context.revert() }

/// `QueryContextAttributes` is ``SecurityContext/attributes-swift.property`` here.
@available(*, unavailable, renamed: "getter:SecurityContext.attributes(self:)")
public func QueryContextAttributes(_ context: SecurityContext) -> SecurityContext.Attributes {
    context.attributes
}

/// `QuerySecurityContextToken` is ``SecurityContext/token()`` here.
@available(*, unavailable, renamed: "SecurityContext.token(self:)")
public func QuerySecurityContextToken(_ context: SecurityContext) throws(GuiseError) -> TokenDescription {
    try context.token()
}
