// The kinds of object known here, their generic mappings and specific rights.

/// Files and directories.
public enum FileKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x120089, write: 0x120116, execute: 0x1200a0, all: 0x1f01ff)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("READ_DATA", 0x1),
            ("WRITE_DATA", 0x2),
            ("APPEND_DATA", 0x4),
            ("READ_EA", 0x8),
            ("WRITE_EA", 0x10),
            ("EXECUTE", 0x20),
            ("DELETE_CHILD", 0x40),
            ("READ_ATTRIBUTES", 0x80),
            ("WRITE_ATTRIBUTES", 0x100),
        ]
    }
}

extension AccessMask where Kind == FileKind {
    /// READ_DATA: read a file's contents.
    public static var readData: Self { Self(rawValue: 0x1) }
    /// WRITE_DATA: write a file's contents.
    public static var writeData: Self { Self(rawValue: 0x2) }
    /// APPEND_DATA: write after the end of a file.
    public static var appendData: Self { Self(rawValue: 0x4) }
    /// READ_EA: read extended attributes.
    public static var readEA: Self { Self(rawValue: 0x8) }
    /// WRITE_EA: write extended attributes.
    public static var writeEA: Self { Self(rawValue: 0x10) }
    /// EXECUTE: execute a file.
    public static var execute: Self { Self(rawValue: 0x20) }
    /// DELETE_CHILD: delete any entry of a directory.
    public static var deleteChild: Self { Self(rawValue: 0x40) }
    /// READ_ATTRIBUTES: read size, times and the like.
    public static var readAttributes: Self { Self(rawValue: 0x80) }
    /// WRITE_ATTRIBUTES: change times and the like.
    public static var writeAttributes: Self { Self(rawValue: 0x100) }
    /// FILE_LIST_DIRECTORY: list a directory (the bit of `readData`).
    public static var listDirectory: Self { Self(rawValue: 0x1) }
    /// FILE_ADD_FILE: make a file in a directory (the bit of `writeData`).
    public static var addFile: Self { Self(rawValue: 0x2) }
    /// FILE_ADD_SUBDIRECTORY: make a directory in a directory (the bit of `appendData`).
    public static var addSubdirectory: Self { Self(rawValue: 0x4) }
    /// FILE_TRAVERSE: pass through a directory (the bit of `execute`).
    public static var traverse: Self { Self(rawValue: 0x20) }
}

/// Registry keys.
public enum RegistryKeyKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x20019, write: 0x20006, execute: 0x20019, all: 0xf003f)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("KEY_QUERY_VALUE", 0x1),
            ("KEY_SET_VALUE", 0x2),
            ("KEY_CREATE_SUB_KEY", 0x4),
            ("KEY_ENUMERATE_SUB_KEYS", 0x8),
            ("KEY_NOTIFY", 0x10),
            ("KEY_CREATE_LINK", 0x20),
        ]
    }
}

extension AccessMask where Kind == RegistryKeyKind {
    /// KEY_QUERY_VALUE: read values.
    public static var queryValue: Self { Self(rawValue: 0x1) }
    /// KEY_SET_VALUE: write values.
    public static var setValue: Self { Self(rawValue: 0x2) }
    /// KEY_CREATE_SUB_KEY: make a subkey.
    public static var createSubKey: Self { Self(rawValue: 0x4) }
    /// KEY_ENUMERATE_SUB_KEYS: list subkeys.
    public static var enumerateSubKeys: Self { Self(rawValue: 0x8) }
    /// KEY_NOTIFY: be told of changes.
    public static var notify: Self { Self(rawValue: 0x10) }
    /// KEY_CREATE_LINK: make a link.
    public static var createLink: Self { Self(rawValue: 0x20) }
}

/// Pipes and sockets; the rights are those of files.
public enum PipeKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x120089, write: 0x120116, execute: 0x1200a0, all: 0x1f01ff)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("READ_DATA", 0x1),
            ("WRITE_DATA", 0x2),
            ("CREATE_PIPE_INSTANCE", 0x4),
            ("READ_EA", 0x8),
            ("WRITE_EA", 0x10),
            ("EXECUTE", 0x20),
            ("READ_ATTRIBUTES", 0x80),
            ("WRITE_ATTRIBUTES", 0x100),
        ]
    }
}

extension AccessMask where Kind == PipeKind {
    /// READ_DATA: read.
    public static var readData: Self { Self(rawValue: 0x1) }
    /// WRITE_DATA: write.
    public static var writeData: Self { Self(rawValue: 0x2) }
    /// CREATE_PIPE_INSTANCE: listen under the same name.
    public static var createInstance: Self { Self(rawValue: 0x4) }
    /// READ_EA: read extended attributes.
    public static var readEA: Self { Self(rawValue: 0x8) }
    /// WRITE_EA: write extended attributes.
    public static var writeEA: Self { Self(rawValue: 0x10) }
    /// EXECUTE: no meaning; part of GENERIC_EXECUTE.
    public static var execute: Self { Self(rawValue: 0x20) }
    /// READ_ATTRIBUTES: read the state.
    public static var readAttributes: Self { Self(rawValue: 0x80) }
    /// WRITE_ATTRIBUTES: change the state.
    public static var writeAttributes: Self { Self(rawValue: 0x100) }
}

/// Tokens as objects.
public enum TokenKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x20008, write: 0x200e0, execute: 0x20000, all: 0xf01ff)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("TOKEN_ASSIGN_PRIMARY", 0x1),
            ("TOKEN_DUPLICATE", 0x2),
            ("TOKEN_IMPERSONATE", 0x4),
            ("TOKEN_QUERY", 0x8),
            ("TOKEN_QUERY_SOURCE", 0x10),
            ("TOKEN_ADJUST_PRIVILEGES", 0x20),
            ("TOKEN_ADJUST_GROUPS", 0x40),
            ("TOKEN_ADJUST_DEFAULT", 0x80),
            ("TOKEN_ADJUST_SESSIONID", 0x100),
        ]
    }
}

extension AccessMask where Kind == TokenKind {
    /// TOKEN_ASSIGN_PRIMARY: make it a process's primary token.
    public static var assignPrimary: Self { Self(rawValue: 0x1) }
    /// TOKEN_DUPLICATE: copy it.
    public static var duplicate: Self { Self(rawValue: 0x2) }
    /// TOKEN_IMPERSONATE: act with it.
    public static var impersonate: Self { Self(rawValue: 0x4) }
    /// TOKEN_QUERY: read it.
    public static var query: Self { Self(rawValue: 0x8) }
    /// TOKEN_QUERY_SOURCE: read where it came from.
    public static var querySource: Self { Self(rawValue: 0x10) }
    /// TOKEN_ADJUST_PRIVILEGES: enable and disable privileges.
    public static var adjustPrivileges: Self { Self(rawValue: 0x20) }
    /// TOKEN_ADJUST_GROUPS: enable and disable groups.
    public static var adjustGroups: Self { Self(rawValue: 0x40) }
    /// TOKEN_ADJUST_DEFAULT: change default owner, group and DACL.
    public static var adjustDefault: Self { Self(rawValue: 0x80) }
    /// TOKEN_ADJUST_SESSIONID: change the session number.
    public static var adjustSessionID: Self { Self(rawValue: 0x100) }
}

/// Processes.
public enum ProcessKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x20410, write: 0x20bea, execute: 0x121001, all: 0x1fffff)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("PROCESS_TERMINATE", 0x1),
            ("PROCESS_CREATE_THREAD", 0x2),
            ("PROCESS_SET_SESSIONID", 0x4),
            ("PROCESS_VM_OPERATION", 0x8),
            ("PROCESS_VM_READ", 0x10),
            ("PROCESS_VM_WRITE", 0x20),
            ("PROCESS_DUP_HANDLE", 0x40),
            ("PROCESS_CREATE_PROCESS", 0x80),
            ("PROCESS_SET_QUOTA", 0x100),
            ("PROCESS_SET_INFORMATION", 0x200),
            ("PROCESS_QUERY_INFORMATION", 0x400),
            ("PROCESS_SUSPEND_RESUME", 0x800),
            ("PROCESS_QUERY_LIMITED_INFORMATION", 0x1000),
        ]
    }
}

extension AccessMask where Kind == ProcessKind {
    /// PROCESS_TERMINATE: end it.
    public static var terminate: Self { Self(rawValue: 0x1) }
    /// PROCESS_CREATE_THREAD: make a thread in it.
    public static var createThread: Self { Self(rawValue: 0x2) }
    /// PROCESS_SET_SESSIONID: change its session number.
    public static var setSessionID: Self { Self(rawValue: 0x4) }
    /// PROCESS_VM_OPERATION: change its address space.
    public static var vmOperation: Self { Self(rawValue: 0x8) }
    /// PROCESS_VM_READ: read its memory.
    public static var vmRead: Self { Self(rawValue: 0x10) }
    /// PROCESS_VM_WRITE: write its memory.
    public static var vmWrite: Self { Self(rawValue: 0x20) }
    /// PROCESS_DUP_HANDLE: take or give handles.
    public static var duplicateHandle: Self { Self(rawValue: 0x40) }
    /// PROCESS_CREATE_PROCESS: make it the parent of a process.
    public static var createProcess: Self { Self(rawValue: 0x80) }
    /// PROCESS_SET_QUOTA: change its limits.
    public static var setQuota: Self { Self(rawValue: 0x100) }
    /// PROCESS_SET_INFORMATION: change its priority and the like.
    public static var setInformation: Self { Self(rawValue: 0x200) }
    /// PROCESS_QUERY_INFORMATION: read everything about it, its token included.
    public static var queryInformation: Self { Self(rawValue: 0x400) }
    /// PROCESS_SUSPEND_RESUME: stop and continue it.
    public static var suspendResume: Self { Self(rawValue: 0x800) }
    /// PROCESS_QUERY_LIMITED_INFORMATION: read its name and exit status.
    public static var queryLimitedInformation: Self { Self(rawValue: 0x1000) }
}

/// Threads.
public enum ThreadKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x20048, write: 0x20437, execute: 0x121800, all: 0x1fffff)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("THREAD_TERMINATE", 0x1),
            ("THREAD_SUSPEND_RESUME", 0x2),
            ("THREAD_ALERT", 0x4),
            ("THREAD_GET_CONTEXT", 0x8),
            ("THREAD_SET_CONTEXT", 0x10),
            ("THREAD_SET_INFORMATION", 0x20),
            ("THREAD_QUERY_INFORMATION", 0x40),
            ("THREAD_SET_THREAD_TOKEN", 0x80),
            ("THREAD_IMPERSONATE", 0x100),
            ("THREAD_DIRECT_IMPERSONATION", 0x200),
            ("THREAD_SET_LIMITED_INFORMATION", 0x400),
            ("THREAD_QUERY_LIMITED_INFORMATION", 0x800),
            ("THREAD_RESUME", 0x1000),
        ]
    }
}

extension AccessMask where Kind == ThreadKind {
    /// THREAD_TERMINATE: end it.
    public static var terminate: Self { Self(rawValue: 0x1) }
    /// THREAD_SUSPEND_RESUME: stop and continue it.
    public static var suspendResume: Self { Self(rawValue: 0x2) }
    /// THREAD_ALERT: wake it.
    public static var alert: Self { Self(rawValue: 0x4) }
    /// THREAD_GET_CONTEXT: read its registers.
    public static var getContext: Self { Self(rawValue: 0x8) }
    /// THREAD_SET_CONTEXT: write its registers.
    public static var setContext: Self { Self(rawValue: 0x10) }
    /// THREAD_SET_INFORMATION: change its priority and the like.
    public static var setInformation: Self { Self(rawValue: 0x20) }
    /// THREAD_QUERY_INFORMATION: read everything about it, its token included.
    public static var queryInformation: Self { Self(rawValue: 0x40) }
    /// THREAD_SET_THREAD_TOKEN: give it an impersonation token.
    public static var setThreadToken: Self { Self(rawValue: 0x80) }
    /// THREAD_IMPERSONATE: use its identity.
    public static var impersonate: Self { Self(rawValue: 0x100) }
    /// THREAD_DIRECT_IMPERSONATION: let a service use its identity.
    public static var directImpersonation: Self { Self(rawValue: 0x200) }
    /// THREAD_SET_LIMITED_INFORMATION: change harmless things.
    public static var setLimitedInformation: Self { Self(rawValue: 0x400) }
    /// THREAD_QUERY_LIMITED_INFORMATION: read harmless things.
    public static var queryLimitedInformation: Self { Self(rawValue: 0x800) }
    /// THREAD_RESUME: continue it.
    public static var resume: Self { Self(rawValue: 0x1000) }
}

/// Objects of a directory service (Active Directory).
public enum DirectoryObjectKind: ObjectKind {
    /// What the generic rights stand for.
    public static let genericMapping = GenericMapping(
        read: 0x20094, write: 0x20028, execute: 0x20004, all: 0xf01ff)
    /// The specific rights by name.
    public static var rightNames: [(name: String, mask: UInt32)] {
        [
            ("DS_CREATE_CHILD", 0x1),
            ("DS_DELETE_CHILD", 0x2),
            ("DS_LIST", 0x4),
            ("DS_SELF", 0x8),
            ("DS_READ_PROP", 0x10),
            ("DS_WRITE_PROP", 0x20),
            ("DS_DELETE_TREE", 0x40),
            ("DS_LIST_OBJECT", 0x80),
            ("DS_CONTROL_ACCESS", 0x100),
        ]
    }
}

extension AccessMask where Kind == DirectoryObjectKind {
    /// DS_CREATE_CHILD: make a child.
    public static var createChild: Self { Self(rawValue: 0x1) }
    /// DS_DELETE_CHILD: delete a child.
    public static var deleteChild: Self { Self(rawValue: 0x2) }
    /// DS_LIST: list children.
    public static var listChildren: Self { Self(rawValue: 0x4) }
    /// DS_SELF: write after validation.
    public static var selfWrite: Self { Self(rawValue: 0x8) }
    /// DS_READ_PROP: read a property.
    public static var readProperty: Self { Self(rawValue: 0x10) }
    /// DS_WRITE_PROP: write a property.
    public static var writeProperty: Self { Self(rawValue: 0x20) }
    /// DS_DELETE_TREE: delete a subtree.
    public static var deleteTree: Self { Self(rawValue: 0x40) }
    /// DS_LIST_OBJECT: see this object in a list.
    public static var listObject: Self { Self(rawValue: 0x80) }
    /// DS_CONTROL_ACCESS: an extended right.
    public static var controlAccess: Self { Self(rawValue: 0x100) }
}
