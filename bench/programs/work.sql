-- A fixed piece of work for SQLite. It prints no time: this build's clock counts seconds. Nor can it make temporary files.
pragma temp_store = memory;
create table items(id integer primary key, name text, weight real);
with recursive n(i) as (values(1) union all select i + 1 from n where i < 60000)
  insert into items select i, 'item' || (i * 7919 % 50021), i * 0.5 from n;
create index by_name on items(name);
create table sums as
  select substr(name, 1, 6) as head, count(*) as amount, sum(weight) as weight from items group by head order by weight desc;
update items set weight = weight + length(name) where id % 3 = 0;
create table joined as select a.id from items a join items b on b.name = 'item' || (a.id % 50021) where a.id < 30000;
select (select count(*) from sums), (select count(*) from joined);
