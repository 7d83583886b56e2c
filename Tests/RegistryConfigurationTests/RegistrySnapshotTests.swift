#if Configuration
    import Configuration
    import RegistryConfiguration
    import RegistryModel
    import Testing

    @Suite("Configuration from values")
    struct RegistrySnapshotTests {
        private func snapshot(_ value: RegistryValue) throws -> RegistrySnapshot {
            var snapshot = RegistrySnapshot("test")
            snapshot[[try RegistryKeyName("http")], try RegistryValueName("Port")] = value
            return snapshot
        }

        private func content(_ value: RegistryValue, _ type: ConfigType) throws -> ConfigContent? {
            try snapshot(value).value(forKey: ["HTTP", "port"], type: type).value?.content
        }

        @Test("each type of setting, from what the registry has for it")
        func types() throws {
            #expect(try content(.string("x"), .string) == .string("x"))
            #expect(try content(.expandString("%x%"), .string) == .string("%x%"))
            #expect(try content(.dword(8080), .int) == .int(8080))
            #expect(try content(.qword(.max), .int) == .int(-1))
            #expect(try content(.string("-7"), .int) == .int(-7))
            #expect(try content(.dword(2), .double) == .double(2))
            #expect(try content(.string("3.14"), .double) == .double(3.14))
            #expect(try content(.dword(1), .bool) == .bool(true))
            #expect(try content(.string("No"), .bool) == .bool(false))
            #expect(try content(.binary([1, 2]), .bytes) == .bytes([1, 2]))
            #expect(try content(.string("AQI="), .bytes) == .bytes([1, 2]))
            #expect(try content(.multiString(["a", "b"]), .stringArray) == .stringArray(["a", "b"]))
            #expect(try content(.multiString(["1", "2"]), .intArray) == .intArray([1, 2]))
            #expect(try content(.multiString(["1.5"]), .doubleArray) == .doubleArray([1.5]))
            #expect(try content(.multiString(["true", "off"]), .boolArray) == .boolArray([true, false]))
            #expect(
                try content(.multiString(["AQI=", "Aw=="]), .byteChunkArray)
                    == .byteChunkArray([[1, 2], [3]]))
        }

        @Test("a value of another type is an error, and none is none")
        func mismatches() throws {
            let wrong: [(RegistryValue, ConfigType)] = [
                (.string("x"), .int), (.dword(1), .string), (.multiString(["1", "x"]), .intArray),
                (.string("a"), .stringArray), (.string("maybe"), .bool), (.string("?"), .bytes),
                (.none([]), .int),
            ]
            for (value, type) in wrong {
                #expect(throws: RegistryError.self, "\(value) as \(type)") { try content(value, type) }
            }
            let snapshot = try snapshot(.dword(1))
            for key: AbsoluteConfigKey in [
                ["http"], ["port"], ["http", "a\\b", "port"], ["http", "port", "x"], [],
            ] {
                #expect(try snapshot.value(forKey: key, type: .int).value == nil)
            }
        }
    }
#endif
