import com.clickhouse.client.api.Client;
import java.math.BigDecimal;
import java.sql.Connection;
import java.sql.Date;
import java.sql.DriverManager;
import java.sql.PreparedStatement;
import java.sql.ResultSet;
import java.sql.SQLException;
import java.sql.Statement;
import java.sql.Timestamp;
import java.time.Instant;
import java.time.LocalDate;
import java.time.LocalDateTime;
import java.util.Map;
import java.util.Objects;
import java.util.UUID;

/** The JDBC driver, and the client below it: java Client.java ADDRESS USER PASSWORD DATABASE. */
class JdbcClient {
  static final String AWKWARD = "it's \\ \"q\"\t\nü";

  public static void main(String[] arguments) throws Exception {
    String address = arguments[0], user = arguments[1], password = arguments[2], database = arguments[3];
    try (Client client = new Client.Builder().addEndpoint("http://" + address).setUsername(user).setPassword(password).build()) {
      equal(client.queryAll("SELECT number FROM numbers(1000)").size(), 1000);
      equal(client.queryAll("SELECT number FROM numbers(200000)").size(), 200_000);
      Map<String, Object> given = Map.of("a", "it's");
      equal(client.queryAll("SELECT {a:String} AS a", given).get(0).getString("a"), "it's");
    }
    try (Connection connection = DriverManager.getConnection("jdbc:clickhouse://" + address + "/" + database, user, password)) {
      reads(connection);
      if (!user.equals("readonly")) writes(connection);
    }
  }

  static void reads(Connection connection) throws SQLException {
    if (connection.getMetaData().getDatabaseProductVersion().isEmpty()) throw new AssertionError("no version");
    try (ResultSet columns = connection.getMetaData().getColumns(null, "system", "one", "%")) {
      equal(columns.next(), true);
      equal(columns.getString("COLUMN_NAME"), "dummy");
    }
    try (PreparedStatement statement = connection.prepareStatement("SELECT ? AS a, ? + 1 AS b")) {
      statement.setString(1, AWKWARD);
      statement.setInt(2, 4);
      ResultSet result = statement.executeQuery();
      equal(result.next(), true);
      equal(result.getString(1), AWKWARD);
      equal(result.getInt(2), 5);
      equal(result.next(), false);
    }
    try (Statement statement = connection.createStatement()) {
      statement.executeQuery("SELECT nope");
      throw new AssertionError("no error");
    } catch (SQLException error) {
      if (!error.getMessage().contains("Code: 47")) throw error;
    }
  }

  static void writes(Connection connection) throws SQLException {
    Timestamp at = Timestamp.valueOf("2024-01-02 03:04:05");
    try (Statement statement = connection.createStatement()) {
      statement.execute("DROP TABLE IF EXISTS jdbc_table");
      statement.execute(
          "CREATE TABLE jdbc_table (a Int32, b String, c DateTime, d DateTime64(3), e Nullable(String), f Date, g Decimal(10, 2), h UUID) ENGINE = MergeTree ORDER BY a");
    }
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO jdbc_table VALUES (?, ?, ?, ?, ?, ?, ?, ?)")) {
      for (int index = 0; index < 3; index++) {
        statement.setInt(1, index);
        statement.setString(2, AWKWARD);
        statement.setTimestamp(3, at);
        statement.setTimestamp(4, Timestamp.valueOf("2024-01-02 03:04:05.678"));
        statement.setString(5, null);
        statement.setDate(6, Date.valueOf("2024-01-02"));
        statement.setBigDecimal(7, new BigDecimal("1.25"));
        statement.setObject(8, new UUID(0, 1));
        statement.addBatch();
      }
      equal(statement.executeBatch().length, 3);
    }
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO jdbc_table (a, b, c, d, f) VALUES (?, ?, ?, ?, ?)")) {
      statement.setInt(1, 3);
      statement.setString(2, AWKWARD);
      statement.setObject(3, LocalDateTime.of(2024, 1, 2, 3, 4, 5));
      statement.setObject(4, Instant.ofEpochMilli(1704164645678L));
      statement.setObject(5, LocalDate.of(2024, 1, 2));
      statement.addBatch();
      equal(statement.executeBatch().length, 1);
    }
    try (PreparedStatement statement = connection.prepareStatement("INSERT INTO jdbc_table (a, b, c) VALUES (?, ?, now())")) {
      statement.setInt(1, 4);
      statement.setString(2, AWKWARD);
      equal(statement.executeUpdate(), 1);
    }
    try (Statement statement = connection.createStatement();
        ResultSet result = statement.executeQuery("SELECT a, b, c, d, f, g, h FROM jdbc_table WHERE e IS NULL ORDER BY a")) {
      for (int index = 0; index < 5; index++) {
        equal(result.next(), true);
        equal(result.getInt(1), index);
        equal(result.getString(2), AWKWARD);
        if (index < 4) equal(result.getTimestamp(3), at);
        if (index < 4) equal(result.getTimestamp(4).getTime() % 1000, 678L);
        if (index < 4) equal(result.getDate(5).toString(), "2024-01-02");
        if (index < 3) equal(result.getBigDecimal(6), new BigDecimal("1.25"));
        if (index < 3) equal(result.getObject(7), new UUID(0, 1));
      }
      equal(result.next(), false);
    }
  }

  static void equal(Object found, Object expected) {
    if (!Objects.equals(found, expected)) throw new AssertionError(found + " is not " + expected);
  }
}
