// clickhouse-go over HTTP, through database/sql and by itself: main ADDRESS USER PASSWORD DATABASE
package main

import (
	"context"
	"database/sql"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/ClickHouse/clickhouse-go/v2"
)

const awkward = "it's \\ \"q\"\t\nü"

func main() {
	methods := map[string]clickhouse.CompressionMethod{
		"none": clickhouse.CompressionNone, "lz4": clickhouse.CompressionLZ4, "zstd": clickhouse.CompressionZSTD,
		"gzip": clickhouse.CompressionGZIP, "deflate": clickhouse.CompressionDeflate, "br": clickhouse.CompressionBrotli,
	}
	results := make(chan error)
	for name, method := range methods {
		go func() {
			if err := check(name, method, os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
				results <- fmt.Errorf("%s: %w", name, err)
			} else {
				results <- nil
			}
		}()
	}
	for range methods {
		if err := <-results; err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
}

func check(name string, method clickhouse.CompressionMethod, address, user, password, database string) error {
	options := &clickhouse.Options{
		Protocol: clickhouse.HTTP, Addr: []string{address}, DialTimeout: time.Minute,
		Auth:        clickhouse.Auth{Database: database, Username: user, Password: password},
		Compression: &clickhouse.Compression{Method: method},
	}
	db := clickhouse.OpenDB(options)
	defer db.Close()
	for _, each := range []func(*sql.DB) error{reads, fails} {
		if err := each(db); err != nil {
			return err
		}
	}
	if user == "readonly" {
		return nil
	}
	connection, err := clickhouse.Open(options)
	if err != nil {
		return err
	}
	defer connection.Close()
	return writes(db, connection, "go_"+name)
}

func reads(db *sql.DB) error {
	var number uint64
	var text, given string
	var list []uint8
	if err := db.QueryRow("SELECT toUInt64(7), ?, [1, 2]", awkward).Scan(&number, &text, &list); err != nil {
		return err
	}
	if number != 7 || text != awkward || len(list) != 2 {
		return fmt.Errorf("read %v %q %v", number, text, list)
	}
	if err := db.QueryRow("SELECT {a:String}", clickhouse.Named("a", "x")).Scan(&given); err != nil || given != "x" {
		return fmt.Errorf("read %q: %w", given, err)
	}
	var point, ring, variant, dynamic, json any
	typed := "SELECT (1., 2.)::Point, [(1., 2.)]::Ring, 1::Variant(Int8, String), 'x'::Dynamic, '{\"a\":1}'::JSON"
	if err := db.QueryRow(typed).Scan(&point, &ring, &variant, &dynamic, &json); err != nil {
		return err
	}
	if found := fmt.Sprint(point, ring, variant, dynamic); found != "[1 2] [[1 2]] {1 Int8} {x String}" {
		return fmt.Errorf("read %s", found)
	}
	var at time.Time
	if err := db.QueryRow("SELECT toDateTime(0, 'America/Chicago')").Scan(&at); err != nil {
		return err
	}
	if at.Unix() != 0 || at.Location().String() != "America/Chicago" {
		return fmt.Errorf("read %v", at)
	}
	rows, err := db.Query("SELECT number, toString(number) FROM numbers(300000)")
	if err != nil {
		return err
	}
	defer rows.Close()
	count := 0
	for rows.Next() {
		count++
	}
	if count != 300000 {
		return fmt.Errorf("%d rows of 300000: %w", count, rows.Err())
	}
	return rows.Err()
}

func fails(db *sql.DB) error {
	var value any
	if err := db.QueryRow("SELECT nope").Scan(&value); err == nil || !strings.Contains(err.Error(), "code: 47") {
		return fmt.Errorf("no error of an unknown name: %w", err)
	}
	rows, err := db.Query("SELECT throwIf(number = 3000000) FROM system.numbers")
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
	}
	if rows.Err() == nil || !strings.Contains(rows.Err().Error(), "code: 395") {
		return fmt.Errorf("no error midway: %w", rows.Err())
	}
	return nil
}

func writes(db *sql.DB, connection clickhouse.Conn, table string) error {
	const rowsCount = 1000
	at := time.Unix(1700000000, 0)
	for _, statement := range []string{
		"DROP TABLE IF EXISTS " + table,
		"CREATE TABLE " + table + " (a Int32, b String, c DateTime('America/Chicago'), d Array(String), e Nullable(Float64)) ENGINE = MergeTree ORDER BY a",
	} {
		if _, err := db.Exec(statement); err != nil {
			return err
		}
	}
	batch, err := connection.PrepareBatch(context.Background(), "INSERT INTO "+table)
	if err != nil {
		return err
	}
	for index := range rowsCount {
		if err := batch.Append(int32(index), awkward, at, []string{"x"}, (*float64)(nil)); err != nil {
			return err
		}
	}
	if err := batch.Send(); err != nil {
		return err
	}
	if _, err := db.Exec("INSERT INTO "+table+" (a, b, c) VALUES (?, ?, ?)", rowsCount, awkward, at); err != nil {
		return err
	}
	var count uint64
	var from, to time.Time
	statement := "SELECT count(), min(c), max(c) FROM " + table + " WHERE b = ?"
	if err := db.QueryRow(statement, awkward).Scan(&count, &from, &to); err != nil {
		return err
	}
	if count != rowsCount+1 || !from.Equal(at) || !to.Equal(at) {
		return fmt.Errorf("read back %d rows from %v to %v", count, from, to)
	}
	return nil
}
